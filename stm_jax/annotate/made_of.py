"""What answers are made of besides what was given: the video, the network, and how it is run."""

import hashlib
import json
from typing import Any

import numpy as np

from stm_jax.catalogue import noted
from stm_jax.data.video_files import Frames, ImageFolder
from stm_jax.files import hash_of_file
from stm_jax.infer.openvino import OpenVino
from stm_jax.infer.segmenter import DEFAULT_CAPACITY
from stm_jax.memory.protocol import Memory
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.model import Model
from stm_jax.reads.protocol import Read
from stm_jax.weights.files import hash_of


def settings_of(
    model: Model,
    memorize_every: int,
    *,
    memory: Memory | None = None,
    read: Read | None = None,
    short_side: int | None = None,
    dtype: Any = "float32",
    capacity: int = DEFAULT_CAPACITY,
    device: object = None,
    runtime: OpenVino | None = None,
    zoom: bool = False,
) -> str:
    """Returns all that answers depend on of a `Segmenter`'s arguments."""
    del device
    kept = noted(memory or EveryNth(memorize_every)), noted(read)
    numbers = (short_side, str(np.dtype(dtype)), capacity)
    run_by = () if runtime is None else (runtime.name,)
    seen = ("zoom",) if zoom else ()
    return json.dumps([hash_of(model), *kept, *numbers, *run_by, *seen], sort_keys=True)


def content_of(frames: Frames) -> str:
    """Returns a hash of all frames of a video file or a folder."""
    if not isinstance(frames, ImageFolder):
        return hash_of_file(frames.path)
    named = [(file.name, hash_of_file(file)) for file in frames.files]
    return hashlib.sha256(repr(named).encode()).hexdigest()
