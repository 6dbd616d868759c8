"""A hook of the site: pages that lie beside docs/, and links that lead there on GitHub too."""

import pathlib
import re
from typing import Any

from mkdocs.structure.files import File, Files

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "stm_jax/assets/stm-r18.md": "model_card.md",
}
"""The files in the project, and what they are called in the site."""


def on_files(files: Files, config: Any) -> None:
    """Adds the pages."""
    project = pathlib.Path(config.config_file_path).parent
    for path, name in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(project / path)))


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Turns links between docs/ and the files beside it into links inside the site."""
    if page.file.src_uri in PAGES.values():
        markdown = re.sub(r"\]\((\.\./)*docs/", "](", markdown)
    for path, name in PAGES.items():
        markdown = markdown.replace(f"](../{path}", f"]({name}").replace(f"]({path}", f"]({name}")
    return markdown
