"""The list of what is broken on purpose stays true: its passages and its tests are there."""

import ast
import collections
import pathlib

import pytest

from tests.conftest import PROJECT


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(PROJECT / "tools" / "semantic_breaks")
    import run  # pyright: ignore

    return run


def test_every_passage_is_there_once_and_what_replaces_it_is_python(tool):
    breaks = tool.all_breaks()
    assert len(breaks) >= 100
    for each in breaks:
        ast.parse(each.broken(PROJECT))
    counts = collections.Counter(each.what for each in breaks)
    assert not [what for what, count in counts.items() if count > 1]


def test_every_test_that_must_notice_is_there(tool):
    functions: dict[str, set[str]] = {}
    for file, _, test in (t.partition("::") for each in tool.all_breaks() for t in each.tests):
        if file not in functions:
            tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
            functions[file] = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        assert test.partition("[")[0] in functions[file] | {""}, f"{file}::{test}"


def test_a_passage_that_is_gone_or_there_twice_is_told(tool, tmp_path: pathlib.Path):
    each = tool.Break("one is two", "a.py", "1", "2", ("test",))
    for text in ("3\n", "1 + 1\n"):
        (tmp_path / "a.py").write_text(text)
        with pytest.raises(ValueError, match=r"one is two: .* times in a\.py"):
            each.broken(tmp_path)


def test_a_break_that_no_test_notices_is_not_red(tool, tmp_path, monkeypatch, capsys):
    project, lists = tmp_path / "project", tmp_path / "lists"
    project.mkdir()
    lists.mkdir()
    (project / "sum.py").write_text("def add(a, b):\n    return a + b\n")
    (project / "test_sum.py").write_text(
        "from sum import add\n"
        "def test_three(): assert add(1, 2) == 3\n"
        "def test_nothing(): assert add(0, 0) == 0\n"
    )
    table = '[[broken]]\nwhat = "{}"\nfile = "sum.py"\npassage = "a + b"\ninstead = "{}"\n'
    table += 'tests = ["test_sum.py::{}"]\n'
    monkeypatch.setattr(tool, "PROJECT", project)
    monkeypatch.setattr(tool, "COPIED", ("sum.py", "test_sum.py"))
    monkeypatch.setattr(tool, "HERE", lists)
    (lists / "1.toml").write_text(table.format("noticed", "a - b", "test_three"))
    assert tool.main([]) == 0
    assert "1 of 1 breaks are red" in capsys.readouterr().out
    (lists / "2.toml").write_text(table.format("unnoticed", "a - b", "test_nothing"))
    (lists / "3.toml").write_text(table.format("no Python", "a + ", "test_three"))
    assert tool.main(["noticed", "python"]) == 1
    said = capsys.readouterr().out
    assert "NOT RED" in said and "1 of 3 breaks are red" in said
    assert (project / "sum.py").read_text().endswith("a + b\n")
