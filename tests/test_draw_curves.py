import json
import pathlib
import subprocess
import sys

import pytest

TOOL = pathlib.Path(__file__).parent.parent / "tools" / "draw_curves.py"
pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install '.[curves]'")


def test_draws_what_the_log_holds_last_of_each_step(tmp_path: pathlib.Path, monkeypatch):
    lines = [
        {"step": 10, "stage": 1, "loss": 0.9},
        {"step": 20, "stage": 1, "loss": 9.0},  # reached again after an interruption
        {"step": 20, "stage": 1, "loss": 0.5},
        {"step": 20, "validation": {"J&F": 0.4, "J_mean": 0.5, "F_mean": 0.3}},
        {"step": 30, "stage": 2, "loss": 0.2},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.syspath_prepend(TOOL.parent)
    from draw_curves import read_log  # pyright: ignore

    losses, (steps, scores) = read_log(tmp_path / "log.jsonl")
    assert losses == {1: ([10, 20], [0.9, 0.5]), 2: ([30], [0.2])}
    assert steps == [20]
    assert scores == {"J&F": [0.4], "J_mean": [0.5], "F_mean": [0.3]}
    drawn = []
    for name in ("a.svg", "b.svg"):
        subprocess.run([sys.executable, TOOL, tmp_path, tmp_path / name], check=True)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]


def test_a_folder_without_log_is_told(tmp_path: pathlib.Path):
    done = subprocess.run([sys.executable, TOOL, tmp_path, "a.svg"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "give the folder of a training run" in done.stderr
