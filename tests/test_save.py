"""`stm-jax segment --save`: what is there, from which masks, and what a second run does."""

import json
import pathlib

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.data.masks import read_mask, write_mask
from stm_jax.infer.segmenter import Segmenter
from stm_jax.results.make import PLACES
from stm_jax.results.probabilities import ids_of, read_probabilities
from stm_jax.results.video_writer import VideoWriter
from tests.lively import clip, lively_model

HEIGHT, WIDTH, COUNT = 32, 48, 5
USUAL = [".stm-jax", "masks", "overlay.mp4", "segment.json"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("inputs")
    with VideoWriter(folder / "video.mp4", HEIGHT, WIDTH, 25) as video:
        for frame in clip(COUNT, HEIGHT, WIDTH):
            video.write(frame)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[8:20, 4:16] = 1
    mask[22:30, 30:44] = 4
    write_mask(folder / "mask.png", mask)
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


def run(inputs: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    """Runs the command; returns the names of what is there."""
    given = [str(inputs / "video.mp4"), "--mask", str(inputs / "mask.png"), "--out", str(out)]
    assert main(["segment", *given, "--weights", str(inputs / "tiny.safetensors"), *more]) == 0
    return sorted(file.name for file in out.iterdir())


def masks(out: pathlib.Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted((out / "masks").iterdir())]


@pytest.fixture
def steps(monkeypatch) -> list[None]:
    """Gets longer with each frame that is segmented."""
    taken, step = [], Segmenter.step
    patched = lambda *a, **k: taken.append(None) or step(*a, **k)  # noqa: E731
    monkeypatch.setattr(Segmenter, "step", patched)
    return taken


def test_probabilities_leave_the_masks_as_they_are(inputs, tmp_path):
    assert run(inputs, tmp_path / "usual") == USUAL
    assert run(inputs, tmp_path / "soft", "--save", "npz", "overlay") == sorted(
        [*USUAL, "probabilities"]
    )
    assert masks(tmp_path / "soft") == masks(tmp_path / "usual")
    for index in range(COUNT):
        read, object_ids = read_probabilities(tmp_path / f"soft/probabilities/{index:05d}.npz")
        assert object_ids.tolist() == [1, 4] and np.allclose(read.sum(axis=0), 1, atol=2e-3)
        ids = read_mask(tmp_path / f"soft/masks/{index:05d}.png")
        np.testing.assert_array_equal(ids_of(read, object_ids), ids)
        assert index == 0 or len(np.unique(read)) > 100


def test_only_what_is_asked_for_is_there_beside_the_masks(inputs, tmp_path):
    there = run(inputs, tmp_path / "out", "--save", "coco")
    assert there == [".stm-jax", "coco.json", "masks", "results.json", "segment.json"]


def test_more_is_made_of_a_finished_run(inputs, tmp_path, steps, capsys):
    out = tmp_path / "out"
    run(inputs, out)
    before, overlay = masks(out), (out / "overlay.mp4").read_bytes()
    steps.clear()
    run(inputs, out, "--save", "coco", "davis", "overlay")
    assert not steps and (out / "coco.json").is_file() and (out / "davis/Annotations").is_dir()
    capsys.readouterr()
    run(inputs, out, "--save", "alpha", "overlay")  # which needs what was not kept
    assert "00000.npz is missing or damaged: segmenting again" in capsys.readouterr().err
    assert len(steps) == COUNT - 1 and len(list((out / "alpha").iterdir())) == COUNT
    assert masks(out) == before and (out / "overlay.mp4").read_bytes() == overlay
    assert (out / "coco.json").is_file()
    steps.clear()
    run(inputs, out, "--save", "alpha16")
    assert not steps and len(list((out / "alpha16").iterdir())) == COUNT


def test_everything_at_once_and_nothing_after_overwrite(inputs, tmp_path, steps):
    out = tmp_path / "out"
    every = ["palette", "npz", *PLACES]
    there = run(inputs, out, "--save", *every)
    assert set(there) >= {*USUAL, "probabilities", "results.json", *PLACES.values()}
    assert json.loads((out / "results.json").read_text()).keys() == PLACES.keys() - {"overlay"}
    (out / "alpha" / "mine.txt").touch()
    assert run(inputs, out, "--overwrite") == sorted([*USUAL, "alpha"])
    assert [file.name for file in (out / "alpha").iterdir()] == ["mine.txt"]


def test_a_stopped_run_goes_on_with_its_probabilities(inputs, tmp_path, monkeypatch, steps):
    run(inputs, tmp_path / "whole", "--save", "npz")
    steps.clear()
    out = tmp_path / "out"
    given = [str(inputs / "video.mp4"), "--mask", str(inputs / "mask.png"), "--out", str(out)]
    given += ["--weights", str(inputs / "tiny.safetensors"), "--save", "npz"]
    with monkeypatch.context() as patch:
        step = Segmenter.step

        def failing(self, frame, **options):
            if len(steps) == 2:
                raise OSError(28, "No space left on device")
            return step(self, frame, **options)

        patch.setattr("stm_jax.commands.segment._pause_after", lambda seconds: 0)
        patch.setattr(Segmenter, "step", failing)
        assert main(["segment", *given]) == 2
    steps.clear()
    assert main(["segment", *given]) == 0
    assert len(steps) == COUNT - 3
    for file in sorted((tmp_path / "whole/probabilities").iterdir()):
        theirs, ours = (read_probabilities(f) for f in (file, out / "probabilities" / file.name))
        np.testing.assert_array_equal(ours[0], theirs[0])
