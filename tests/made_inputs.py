"""What the commands take, small: a data set, a video, a mask of its first frame, weights."""

import pathlib

import numpy as np

from stm_jax import weights
from stm_jax.data.masks import write_mask
from stm_jax.results.video_writer import VideoWriter
from tests.benchmark_trees import davis2017
from tests.lively import clip, lively_model


def made_inputs(folder: pathlib.Path, frames: int) -> pathlib.Path:
    """Makes davis/ of one sequence `ant`, video.mp4, mask.png and tiny.safetensors."""
    davis2017(folder / "davis", {"ant": (frames, 32, 48, (2, 5))})
    with VideoWriter(folder / "video.mp4", 32, 48, 25) as video:
        for frame in clip(frames, 32, 48):
            video.write(frame)
    mask = np.zeros((32, 48), np.uint8)
    mask[8:20, 4:16] = 1
    write_mask(folder / "mask.png", mask)
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder
