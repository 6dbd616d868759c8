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
    template: str, styles: Sequence[str], scripts: Sequence[str], title: str, data: str, **more: str
) -> str:
    """Returns a page made of files of the folder `page`.

    Args:
        template: The HTML file, with $title, $style, $script, their hashes, and $data.
        styles: CSS files.
        scripts: JavaScript files; they share one scope.
        title: Of the page, as text.
        data: HTML, such as of `block`.
        more: HTML for further places of the template.
    """
    folder = importlib.resources.files("stm_jax.report") / "page"

    def text_of(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    style = "".join(map(text_of, styles))
    script = '"use strict";\n(() => {\n' + "\n".join(map(text_of, scripts)) + "})();\n"
    return string.Template(text_of(template)).substitute(
        title=html.escape(title),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=data,
        **more,
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
