"""Convolutions in int8: what they are given is rounded to 256 steps, by NNCF.

How far apart the steps are is taken from examples: frames with masks, that are remembered and then
read by the frames behind them, through the same network in bfloat16.
"""

import contextlib
import importlib
import io
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from stm_jax.errors import InputError

Example = tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]
"""A frame and its mask: 0 is the background."""
Run = Callable[..., Sequence[np.ndarray]]
"""A part of the network by its name: "memorize", "query" or "decode", and its arrays."""


def quantized(
    network: Any,
    name: str,
    shapes: Sequence[tuple[int, ...]],
    examples: Sequence[Example],
    run: Run,
) -> Any:
    """Returns OpenVINO's model of a part of the network, its convolutions in int8.

    Args:
        network: The model.
        name: Of the part.
        shapes: Of its inputs.
        examples: At least two, in the order of their video.
        run: The same network in bfloat16 or float32.

    Raises:
        InputError: NNCF is not installed.
    """
    try:
        nncf = importlib.import_module("nncf")
    except ImportError as error:
        raise InputError("NNCF is not installed: pip install 'stm_jax[openvino]'") from error
    given = {"memorize": _remembered, "query": _asked, "decode": _read}[name]
    arrays = [given(shapes, *pair, run) for pair in itertools.pairwise(examples)]
    nncf.set_log_level(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):  # where it draws its own progress
        return nncf.quantize(
            network,
            nncf.Dataset(arrays, lambda inputs: dict(enumerate(inputs))),
            preset=nncf.QuantizationPreset.MIXED,  # activations need not be about 0
            subset_size=len(arrays),
        )


def _remembered(
    shapes: Sequence[tuple[int, ...]], example: Example, _: Example, run: Run
) -> list[np.ndarray]:
    batch, objects, height, width = shapes[1]
    frame, mask = scaled(example, height, width)
    # Further objects are beside the one.
    masks = np.stack([np.roll(mask, width * i // objects, axis=1) for i in range(objects)])
    others = np.clip(masks.sum(axis=0) - masks, 0, 1)
    return [np.stack([each] * batch) for each in (frame, masks, others)]


def _asked(
    shapes: Sequence[tuple[int, ...]], _: Example, example: Example, run: Run
) -> list[np.ndarray]:
    batch, height, width = shapes[0][:3]
    return [np.stack([scaled(example, height, width)[0]] * batch)]


def _read(
    shapes: Sequence[tuple[int, ...]], example: Example, after: Example, run: Run
) -> list[np.ndarray]:
    batch, objects, rows, columns = shapes[0][:4]
    size = rows * 16, columns * 16
    remembered = _remembered([(batch, *size, 3), (batch, objects, *size)], example, after, run)
    keys, values = run("memorize", *remembered)
    key, value, *skips = run("query", *_asked([(batch, *size, 3)], example, after, run))
    query = key.reshape(batch, 1, rows * columns, -1)
    affinity = query @ keys.reshape(batch, objects, rows * columns, -1).swapaxes(2, 3)
    affinity = np.exp((affinity - affinity.max(axis=-1, keepdims=True)) / key.shape[-1] ** 0.5)
    affinity /= affinity.sum(axis=-1, keepdims=True)
    found = (affinity @ values.reshape(batch, objects, rows * columns, -1)).reshape(values.shape)
    asked = np.broadcast_to(value[:, None], found.shape)
    return [np.concatenate([found, asked], axis=-1), *skips]


def scaled(
    example: Example, height: int, width: int
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Returns a frame in [0, 1] and where its objects are, at another size."""
    frame = Image.fromarray(example[0]).resize((width, height), Image.Resampling.BILINEAR)
    mask = Image.fromarray(example[1]).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(frame, np.float32) / 255, (np.asarray(mask) > 0).astype(np.float32)
