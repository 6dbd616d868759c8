"""Pages that are one HTML file: style, script and data in it, nothing else may run or load."""

import base64
import hashlib
import html
import importlib.resources
import json
import string
from collections.abc import Sequence
from typing import Any


def block(name: str, content: Any) -> str:
    """Returns JSON as an element of the page that a browser neither runs nor ends too early."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":  # a name may hold </script> or <!--
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def one_file(
    body: str, styles: Sequence[str], scripts: Sequence[str], title: str, data: str, **more: str
) -> str:
    """Returns a page made of files of the folder `page`.

    Args:
        body: The HTML file of what is seen, with $title; page.html is what goes around it.
        styles: CSS files.
        scripts: JavaScript files; they share one scope.
        title: Of the page, as text.
        data: HTML, such as of `block`.
        more: HTML for further places of the body.
    """
    folder = importlib.resources.files("stm_jax.report") / "page"

    def text_of(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    style = "".join(map(text_of, styles))
    script = '"use strict";\n(() => {\n' + "\n".join(map(text_of, scripts)) + "})();\n"
    title = html.escape(title)
    return string.Template(text_of("page.html")).substitute(
        title=title,
        body=string.Template(text_of(body)).substitute(title=title, **more),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=data,
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
