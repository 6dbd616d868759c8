"""Heat maps of a benchmark: which frame, object and pixel they are of, and that they get there."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.benchmark import attention as benchmark_attention
from stm_jax.benchmark.attention import Place, draw_attention, middle_of, worst_place
from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import Program
from stm_jax.cli import main
from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.image_files import read_rgb
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.scores import Scores
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.stores.xmem import XMem
from stm_jax.report.heat import Sheet
from tests.benchmark_trees import davis2017
from tests.lively import lively_model
from tests.report_data import make_scores, make_sequence


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    """A folder with davis/ and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("data")
    davis2017(folder / "davis", {"cat": (7, 32, 48, (1, 2)), "ant": (6, 32, 48, (2, 5))})
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


def test_the_worst_place_is_of_an_object_that_is_to_be_seen(tmp_path):
    sequence = make_sequence(tmp_path, "one", "a", objects=(1, 7))  # 7 from frame 2 on
    scores = make_scores([sequence])
    place = worst_place(sequence, scores)  # J falls over time, and is lower of the second
    left, top = 3 + 3 * 10, 4 + 9
    assert place == Place(10, 7, (top + 3, left + 5))
    truth = sequence.truth(10)
    assert truth[place.pixel] == 7

    gone = dataclasses.replace(sequence, truths=(*sequence.truths[:10], *sequence.truths[:2]))
    assert worst_place(gone, scores) == Place(9, 7, (top + 3, left + 5 - 3))
    nothing = {("one", 9): ObjectScores(9, (0.0,), (0.0,))}
    frames = {("one", 9): (sequence.frames[4].stem,)}
    assert worst_place(sequence, Scores("folder", nothing, frames)) is None


def test_the_middle_lies_on_the_object():
    ring = np.ones((9, 9), bool)
    ring[2:7, 2:7] = False
    assert ring[middle_of(ring)]
    assert middle_of(np.zeros((3, 3), bool)) is None


def test_the_sheet_is_of_the_stream_that_was_scored(data, tmp_path, monkeypatch):
    """The stream begins with the third frame, so its numbers are others than the sequence's."""
    cat = next(s for s in benchmark_sequences(data / "davis", "davis2017") if s.name == "cat")
    cat = dataclasses.replace(cat, given={2: (2,), 4: (1,)})
    j = {1: (0.9, 0.8), 2: (0.9, 0.9)}
    keys = {("cat", i): ObjectScores(i, values, values) for i, values in j.items()}
    scores = Scores("folder", keys, {key: ("00005", "00006") for key in keys})
    seen = []
    monkeypatch.setattr(Sheet, "draw", lambda sheet: seen.append(sheet) or pictures(sheet))
    folder = BenchmarkFolder(tmp_path, {}, {})
    segmenter = Segmenter(lively_model(), memorize_every=2)
    programs = {"cat": Program((32, 48), 2, 7)}
    draw_attention(scores, [cat], programs, segmenter, folder, 1)
    (sheet,) = seen
    pixel = middle_of(cat.truth(6) == 1)
    assert (sheet.frame_number, sheet.object_id, sheet.pixel) == (6, 1, pixel)
    assert sheet.index == 1  # object 2 came first
    numbers = sheet.attention.frame_numbers
    assert sorted(numbers[numbers >= 0].tolist()) == [2, 4, 5]
    assert set(sheet.pictures) == set(sheet.ids) == {2, 4, 5, 6}

    other = Segmenter(lively_model(), memorize_every=2)
    frames = [read_rgb(path) for path in cat.frames]
    other.start(frames[2], cat.given_mask(2), length=7, objects=2)
    other.step(frames[3])
    other.add_objects(frames[4], cat.given_mask(4))
    other.step(frames[5])
    expected = other.look(frames[6], *pixel)
    np.testing.assert_allclose(sheet.attention.weights, expected.weights, atol=1e-6)
    np.testing.assert_array_equal(sheet.ids[6], other.step(frames[6]))
    np.testing.assert_array_equal(sheet.pictures[4], frames[4])

    draw_attention(scores, [cat], programs, segmenter, folder, 1)
    assert len(seen) == 1  # it is there
    folder.attention_of(cat).unlink()
    stores = Segmenter(lively_model(), memory=XMem())
    draw_attention(scores, [cat], programs, stores, folder, 1)
    assert not folder.attention_of(cat).exists()


def pictures(sheet: Sheet):
    from PIL import Image

    return Image.fromarray(sheet.pictures[sheet.frame_number])


def test_the_page_shows_the_worst_sequence(data, tmp_path, monkeypatch, capsys):
    given = ["benchmark-dataset", str(data / "davis"), "--protocol", "davis2017"]
    given += ["--out", str(tmp_path), "--weights", str(data / "tiny.safetensors")]
    assert main(given) == 0
    assert 'id="attention-' not in (tmp_path / "report.html").read_text()
    assert main([*given, "--heat-maps", "1"]) == 0  # nothing but the pictures is made
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert "all 2 sequences are done" in capsys.readouterr().out
    j = {
        name: np.mean([s["J_mean"] for key, s in scores.items() if key.startswith(name + "_")])
        for name in ("cat", "ant")
    }
    worst = min(j, key=j.get)
    assert [path.name for path in (tmp_path / "attention").iterdir()] == [f"{worst}.png"]
    page = (tmp_path / "report.html").read_text()
    order = [s.name for s in benchmark_sequences(data / "davis", "davis2017")]
    assert [i for i in range(2) if f'id="attention-{i}"' in page] == [order.index(worst)]

    monkeypatch.setattr(benchmark_attention, "_sheet", None)  # not called again
    assert main([*given, "--heat-maps", "1"]) == 0
    assert main([*given, "--heat-maps", "1", "--flip"]) == 2
    assert main([*given, "--heat-maps", "-1"]) == 2
