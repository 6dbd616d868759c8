"""Space-Time Memory Networks for JAX: follow an object through a video from its first mask."""

import importlib
from typing import TYPE_CHECKING

from stm_jax.errors import InputError

if TYPE_CHECKING:
    from stm_jax import weights as convert
    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.nn.model import Model
    from stm_jax.weights.files import load, save

__version__ = "0.1.0"
__all__ = ["InputError", "Model", "Segmenter", "convert", "load", "save"]

# Imported when first asked for: they bring JAX, and `stm-jax --help` should not wait for it.
_HOMES = {
    "Model": "stm_jax.nn.model",
    "Segmenter": "stm_jax.infer.segmenter",
    "load": "stm_jax.weights.files",
    "save": "stm_jax.weights.files",
}


def __getattr__(name: str) -> object:
    if name == "convert":
        return importlib.import_module("stm_jax.weights")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
