"""`stm-jax evaluate` from end to end: the official values, files, exit status."""

import json

import numpy as np
import pytest

from stm_jax.cli import main
from stm_jax.report import page_of_scores
from tests.scored_trees import moving, write_davis, write_masks


@pytest.fixture
def walk(tmp_path):
    """Returns the arguments that score two sequences, of which one lacks a frame."""
    truths = {"stay": moving(5), "walk": moving(6)}
    write_davis(tmp_path / "data", truths)
    for name, masks in truths.items():
        write_masks(tmp_path / "masks" / name, masks)
    (tmp_path / "masks/walk/00002.png").unlink()
    data = str(tmp_path / "data")
    return ["evaluate", str(tmp_path / "masks"), "--dataset", data, "--protocol", "davis2017"]


def test_the_official_evaluator_is_matched_in_every_value(shared, tmp_path):
    golden = shared / "golden/davis_metrics"
    arguments = ["evaluate", str(golden / "predictions"), "--protocol", "davis2017"]
    arguments += ["--dataset", str(shared / "data/davis2017-multiobject"), "--split", "train"]
    assert main([*arguments, "--json", str(tmp_path / "scores.json")]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    official = json.loads((golden / "official_values.json").read_text())
    assert found["problems"] == []
    compared = 0
    for name, values in official.items():
        for measure, value in values.items():
            if measure.endswith("_frames"):
                mine = found["frames"][name][measure[0]]
            else:
                mine = found[name][measure]
            np.testing.assert_allclose(mine, value, rtol=0, atol=1e-9)
            compared += np.size(value)
    assert compared == 7 * (6 + 2 * 78) + 7


def test_the_table_names_sequences_and_problems(walk, capsys):
    assert main(walk) == 0
    out = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert rows.keys() == {"stay", "walk", "global"}
    assert " 0.750 " in rows["walk"] and " 1.000 " in rows["stay"]
    assert "problem: " in out and "walk/00002.png: is missing; scored 0" in out
    assert "global: J&F 0.8750, J 0.8750, F 0.8750 over 4 objects of 2 sequences; 1 prob" in out


def test_strict_stops_and_writes_nothing(walk, tmp_path, capsys):
    assert main([*walk, "--strict", "--json", str(tmp_path / "scores.json")]) == 2
    assert "walk/00002.png: is missing" in capsys.readouterr().err
    assert not (tmp_path / "scores.json").exists()
    assert main([*walk, "--strict", "--sequences", "stay"]) == 0


def test_nothing_is_taken_from_an_old_file(walk, tmp_path):
    files = tmp_path / "scores.json", tmp_path / "scores.csv"
    options = ["--json", str(files[0]), "--csv", str(files[1])]
    assert main([*walk, *options]) == 0
    old = [file.read_text() for file in files]
    write_masks(tmp_path / "masks/walk", moving(6))
    assert main([*walk, *options]) == 0
    assert json.loads(files[0].read_text())["global"]["J&F"] == 1.0
    assert files[1].read_text().splitlines()[-1].startswith("global,,1.0,")
    assert [file.read_text() for file in files] != old


def test_the_page_gets_what_a_run_noted_beside_its_masks(walk, tmp_path, monkeypatch):
    (tmp_path / "settings.json").write_text('{"settings": {"dtype": "float32"}}')
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences/walk.json").write_text('{"memorized": [0, 5]}')
    calls = []
    monkeypatch.setattr(page_of_scores, "write_report", lambda *a, **k: calls.append(a))
    assert main([*walk, "--html", str(tmp_path / "page.html")]) == 0
    ((path, scores, predictions, sequences, details),) = calls
    assert (path, predictions) == (tmp_path / "page.html", tmp_path / "masks")
    assert [each.name for each in sequences] == list(scores.sequences) == ["stay", "walk"]
    assert details["settings"] == {"dtype": "float32"}
    assert details["sequences"] == {"walk": {"memorized": [0, 5]}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--json", "nowhere/scores.json"], "there is no folder nowhere"),
        (["--csv", "."], ". is a folder"),
        (["--sequences", "run"], "no sequence run"),
        (["--split", "test"], "no list of the split test"),
    ],
)
def test_what_cannot_be_done_is_one_line(walk, tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    assert main([*walk, *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
