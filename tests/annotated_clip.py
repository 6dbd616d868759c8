"""Sessions over a short clip with two masks, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from stm_jax.annotate.annotator import Annotator, Way
from stm_jax.annotate.fusion import Soft
from stm_jax.infer.segmenter import Segmenter
from tests.lively import clip, first_mask, lively_model

COUNT = 9
FRAMES = clip(COUNT)
MASK = first_mask()
OTHER = np.roll(MASK, 6, axis=1)
OPTIONS = {"memorize_every": 3}


def as_folder(frames, folder: Path) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:02d}.png")
    return folder


def session(video: Path, name: str = "out", **options) -> Annotator:
    return Annotator(lively_model(), video, video.parent / name, **(OPTIONS | options))


def answers(of: Annotator, *way: Way) -> dict[int, Soft]:
    """Follows all, and returns the probabilities of the frames done."""
    return {done.frame: done.soft for done in of.propagate(*way) if done.final}


def stream(frames, mask, **options) -> list[np.ndarray]:
    """The probabilities of one forward stream."""
    segmenter = Segmenter(lively_model(), **(OPTIONS | options))
    segmenter.start(frames[0], mask, length=COUNT)
    return [segmenter.step(frame, soft=True) for frame in frames[1:]]
