"""docs/plain_jax.md: its code runs as it stands, in order, and what it compares is equal."""

import pathlib

from tests.test_guide import blocks

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "plain_jax.md"


def test_the_page_runs_as_it_stands():
    found = blocks(PAGE)
    assert sum(block.count("\nassert ") for block in found) >= 5  # it compares, not only runs
    names = {"__name__": "plain_jax"}
    for block in found:
        exec(compile(block, str(PAGE), "exec"), names)
    assert int(names["train_state"]["step"]) == 1
