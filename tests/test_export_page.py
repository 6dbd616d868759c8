"""docs/export.md: its Python runs as it stands, on the archive that its command would write."""

import pathlib

from stm_jax.cli import main
from tests.test_guide import blocks

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "export.md"


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    assert "stm-jax export rabbit.zip\n" in text
    assert main(["export", "rabbit.zip"]) == 0
    found = blocks(PAGE)
    assert sum(block.count("\nassert ") for block in found) >= 1
    names = {"__name__": "export"}
    for block in found:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(names["ids"]) == len(names["frames"])
