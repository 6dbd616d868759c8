"""The measure of fine-tuning: it trains on the given frames alone, and scores the others alone."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from stm_jax.commands.shared.options import ModelOptions
from stm_jax.config import TINY
from stm_jax.data.sources import Videos, YoutubeVos
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.model import random_model
from stm_jax.weights.files import save
from tests.conftest import PROJECT
from tests.lively import lively_model
from tests.test_clips import root  # noqa: F401, a fixture


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(PROJECT / "tools")
    import finetune_gain  # pyright: ignore

    return finetune_gain


def test_the_given_frames_are_spread_over_the_whole_video(tool):
    assert tool.given_of(60, 5) == [0, 15, 30, 44, 59]
    assert tool.given_of(5, 5) == [0, 1, 2, 3, 4]


def test_only_frames_that_were_not_given_are_scored(tool, root: pathlib.Path):  # noqa: F811
    for number in range(10):  # all that was given but the first mask is made wrong
        path = root / f"Annotations/480p/one/{number:05d}.png"
        if number in (4, 9):
            Image.fromarray(np.full((64, 96), 255, np.uint8)).save(path)
    video = Videos(root).videos()[0]
    segmenter = Segmenter(lively_model())
    some = tool.rest_j(segmenter, video, [0, 4, 9])
    assert 0 < some < 1
    assert some != tool.rest_j(segmenter, video, [0])
    for number in (4, 9):
        path = root / f"Annotations/480p/one/{number:05d}.png"
        Image.fromarray(np.zeros((64, 96), np.uint8)).save(path)
    assert some == tool.rest_j(segmenter, video, [0, 4, 9])


def test_the_given_frames_are_copied_and_no_others(
    tool,
    root: pathlib.Path,  # noqa: F811
):
    video = next(v for v in Videos(root).videos() if v.name == "two")
    tool.copy_given(video, [0, 4, 9], root / "data")
    copied = sorted(str(p.relative_to(root / "data")) for p in (root / "data").rglob("*.*"))
    frames = [f"JPEGImages/two/{number:05d}.jpg" for number in (0, 4, 9)]
    masks = [f"Annotations/two/{number:05d}.png" for number in (0, 4, 9)]
    assert copied == [*masks, *frames]
    (found,) = YoutubeVos(root / "data").videos()  # the source of configs/finetune.py
    assert [sample.image.stem for sample in found.samples] == ["00000", "00004", "00009"]


def test_a_row_of_the_table(
    tool,
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture,
):
    save(random_model(TINY), tmp_path / "tiny.safetensors")
    small = ("stages.0.data.size=32", "stages.0.steps=2", "stages.0.warmup_steps=0")
    model = ModelOptions(str(tmp_path / "tiny.safetensors"))
    tool.main(tool.Options(root, ("one",), 3, small, model))
    row, mean = capsys.readouterr().out.splitlines()[-2:]
    assert row.startswith("| one | 10 | 0, 4, 9 | ") and mean.startswith("| mean |")
