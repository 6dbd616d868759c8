"""Runs side by side: differences, the bootstrap's interval, what is refused or warned of."""

import json

import pytest

from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.eval.comparison import compare_runs
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.scores import Scores, write_scores_json


def run(values: dict[str, float | list[float]], protocol: str = "davis2017") -> Scores:
    """Returns a run in which J of each sequence's objects is as given, F 0.2 less, in 2 frames."""
    objects = {
        (name, number): ObjectScores(number, (j + 0.1, j - 0.1), (j - 0.2, j - 0.2))
        for name, each in values.items()
        for number, j in enumerate(each if isinstance(each, list) else [each], 1)
    }
    return Scores(protocol, objects, dict.fromkeys(objects, ("00001", "00002")))


def compare(*values: dict) -> tuple:
    runs = [run(each) for each in values]
    return compare_runs(runs, [f"{number}.json" for number in range(len(runs))])


def test_the_same_difference_everywhere_is_shown():
    found = compare({"a": 0.5, "b": 0.7, "c": 0.3}, {"a": 0.6, "b": 0.8, "c": 0.4})
    for measure in ("J&F", "J", "F"):
        (difference,) = found.differences[measure]
        assert (difference.mean, *difference.interval) == pytest.approx((0.1, 0.1, 0.1))
        assert difference.is_shown
    assert found.sequences["b"]["J&F"] == pytest.approx((0.6, 0.7))
    assert found.total["J"] == pytest.approx((0.5, 0.6))


def test_the_interval_is_over_sequences_drawn_with_both_runs_values():
    # Of two sequences a quarter of the draws is one of them twice: the interval has both ends.
    found = compare({"a": 0.5, "b": 0.7}, {"a": 0.4, "b": 1.0})
    (difference,) = found.differences["J&F"]
    assert (difference.mean, *difference.interval) == pytest.approx((0.1, -0.1, 0.3))
    assert not difference.is_shown


def test_runs_that_are_equal_differ_by_nothing():
    found = compare({"a": 0.5, "b": 0.7}, {"a": 0.5, "b": 0.7}, {"a": 0.6, "b": 0.8})
    equal, better = found.differences["J"]
    assert (equal.mean, equal.interval, equal.is_shown) == (0, (0, 0), False)
    assert better.is_shown


def test_the_interval_is_that_of_the_mean_of_many_sequences():
    # 100 differences of +-0.1: their mean has a standard error of 0.01, the interval 1.96 of it.
    first = {f"s{number}": 0.5 for number in range(100)}
    second = {f"s{number}": 0.6 if number % 2 else 0.4 for number in range(100)}
    found = compare(first, second)
    low, high = found.differences["J&F"][0].interval
    assert (low, high) == pytest.approx((-0.0196, 0.0196), abs=0.001)
    again = compare(first, second)
    assert again == found
    assert found.warnings == ()


def test_every_object_weighs_the_same():
    found = compare({"a": [0.5, 0.5, 0.5], "b": 0.5}, {"a": [0.6, 0.6, 0.6], "b": 1.0})
    (difference,) = found.differences["J&F"]
    assert (difference.mean, *difference.interval) == pytest.approx((0.2, 0.1, 0.5))
    assert found.objects == {"a": 3, "b": 1}


def test_only_what_all_runs_have_is_compared_and_the_rest_is_named():
    found = compare({"a": 0.5, "b": [0.5, 0.9], "c": 0.1}, {"a": 0.6, "b": 0.6, "d": 0.9})
    assert list(found.sequences) == ["a", "b"]
    assert found.differences["J"][0].mean == pytest.approx(0.1)
    assert [line for line in found.warnings if "not compared" in line] == [
        "not compared, as not all runs have them: c of 0.json",
        "not compared, as not all runs have them: b_2 of 0.json",
        "not compared, as not all runs have them: d of 1.json",
    ]


def test_one_sequence_gives_no_interval():
    found = compare({"a": 0.5}, {"a": 0.9})
    assert found.differences["J&F"][0].interval is None
    assert not found.differences["J&F"][0].is_shown
    assert "there is no interval" in found.warnings[-1]


def test_runs_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match=r"b is scored by the protocol folder, a by davis2017"):
        compare_runs([run({"a": 0.5}), run({"a": 0.5}, "folder")], ["a", "b"])
    with pytest.raises(InputError, match="no object that a and b all have"):
        compare_runs([run({"a": 0.5}), run({"b": 0.5})], ["a", "b"])
    with pytest.raises(InputError, match="two or more"):
        compare_runs([run({"a": 0.5})], ["a"])


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "one.json", tmp_path / "two.json"
    write_scores_json(paths[0], run({"a": 0.5, "b": 0.5}))
    write_scores_json(paths[1], run({"a": 0.4, "b": 0.8}))
    return [str(path) for path in paths]


def test_the_command_says_when_the_interval_contains_0(files, tmp_path, capsys):
    options = ["--json", str(tmp_path / "c.json"), "--csv", str(tmp_path / "c.csv")]
    assert main(["compare", *files, *options]) == 0
    out = capsys.readouterr().out
    assert "2 - 1, J&F: +0.1000 [-0.1000, +0.3000] contains 0: no difference is shown" in out
    assert "2 sequences are few" in out
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["differences"]["J&F"][0]["interval"] == pytest.approx([-0.1, 0.3])
    header, a, *_, total = (tmp_path / "c.csv").read_text().splitlines()
    assert header.startswith(f"sequence,objects,J&F {files[0]},J&F {files[1]},J ")
    assert [float(value) for value in a.split(",")[2:4]] == pytest.approx([0.4, 0.3])
    assert total.startswith("global,2,")


def test_the_command_refuses_other_files_in_one_line(files, tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert main(["compare", files[0], str(other)]) == 2
    assert f"{other} is not a scores file" in capsys.readouterr().err
    assert main(["compare", files[0], str(tmp_path / "no.json")]) == 2
    assert "no.json: no such file" in capsys.readouterr().err
    assert main(["compare", files[0]]) == 2
    assert "two or more" in capsys.readouterr().err
