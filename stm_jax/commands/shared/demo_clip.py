"""The bundled clip of Big Buck Bunny, and the masks of some of its frames."""

import itertools
import pathlib

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.masks import read_mask
from stm_jax.data.video_files import open_frames

ASSETS = pathlib.Path(__file__).parents[2] / "assets"
CLIP = ASSETS / "bigbuckbunny.mp4"
TRUTH = ASSETS / "bigbuckbunny_masks"


def mask_files() -> list[pathlib.Path]:
    """Returns the masks that were drawn by hand; they are named by their frames."""
    return sorted(TRUTH.glob("*.png"))


def frames_with_masks() -> dict[int, tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]]:
    """Returns the frames that have a mask, with it, by their numbers; 0 is background."""
    masks = {int(path.stem): path for path in mask_files()}
    frames = itertools.islice(open_frames(CLIP).read(), max(masks) + 1)
    return {i: (frame, read_mask(masks[i])) for i, frame in enumerate(frames) if i in masks}
