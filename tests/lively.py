"""A tiny model and a tiny clip whose answers show a mistake.

A freshly initialised network calls everything background, and every test on its label maps
would pass. The weights here are drawn as those of the golden outputs are: keys that spread the
affinity, mask inputs that matter, log-odds on both sides of 0.
"""

import functools
import zlib

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from stm_jax.config import TINY
from stm_jax.nn.encoders import IMAGENET_MEAN, IMAGENET_STD
from stm_jax.nn.model import Model
from stm_jax.weights.pytorch import variable_shapes

GAINS = {"/key/": 6.0, "/value/": 3.0, "conv_mask": 4.0, "conv_others": 4.0, "predict": 1.5}
OBJECT_BIAS = 6.0  # centres the log-odds
IDS = (1, 4, 9)


@functools.cache
def lively_model() -> Model:
    """Returns the model: `TINY` with weights that are the same every time."""
    flat = {path: _draw(path, s.shape) for path, s in variable_shapes(TINY).items()}
    return Model(TINY, flax.traverse_util.unflatten_dict(flat, sep="/"))


def _draw(path: str, shape: tuple[int, ...]) -> jnp.ndarray:
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    leaf = path.rsplit("/", 1)[-1]
    if leaf == "count":
        return jnp.zeros(shape, jnp.int32)
    if path.endswith("predict/bias"):
        drawn = np.array([0.0, OBJECT_BIAS])
    elif "normalize" in path:
        drawn = np.array(IMAGENET_MEAN if leaf == "mean" else IMAGENET_STD)
    elif leaf == "kernel":
        gain = next((gain for part, gain in GAINS.items() if part in path), 1.0)
        drawn = rng.normal(0.0, gain / np.sqrt(np.prod(shape[:3])), shape)
    elif leaf == "scale":
        drawn = rng.uniform(0.5, 1.0, shape)
    elif leaf == "var":
        drawn = rng.uniform(0.5, 1.5, shape)
    else:
        drawn = rng.normal(0.0, 0.1, shape)
    return jnp.asarray(drawn, jnp.float32)


def clip(length: int, height: int = 40, width: int = 52) -> np.ndarray:
    """Returns a clip of a drifting pattern, (length, height, width, 3) uint8."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (height // 4 + length, width // 4 + length, 3), dtype=np.uint8)
    scene = coarse.repeat(4, axis=0).repeat(4, axis=1)
    return np.stack([scene[2 * t : 2 * t + height, 3 * t : 3 * t + width] for t in range(length)])


def first_mask(height: int = 40, width: int = 52) -> np.ndarray:
    """Returns the mask of three objects with the ids `IDS`, (height, width) uint8."""
    mask = np.zeros((height, width), np.uint8)
    mask[4:20, 4:22] = 1
    mask[8:36, 26:40] = 4
    mask[26:38, 3:18] = 9
    return mask
