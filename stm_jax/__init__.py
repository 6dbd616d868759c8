"""Space-Time Memory Networks for JAX: follow an object through a video from its first mask."""

import importlib
from typing import TYPE_CHECKING

from stm_jax.errors import InputError
from stm_jax.moved import install as _let_old_names_be_imported
from stm_jax.version import __version__ as __version__

if TYPE_CHECKING:
    from stm_jax import config, data, eval, memory, reads, train, weights
    from stm_jax.annotate.annotator import Annotator
    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.nn.model import Model
    from stm_jax.weights.files import load, save

_let_old_names_be_imported()

__all__ = [
    "Annotator",
    "InputError",
    "Model",
    "Segmenter",
    "config",
    "data",
    "eval",
    "load",
    "memory",
    "reads",
    "save",
    "train",
    "weights",
]

# Imported when first asked for: they bring JAX, and `stm-jax --help` should not wait for it.
_HOMES = {
    "Annotator": "stm_jax.annotate.annotator",
    "Model": "stm_jax.nn.model",
    "Segmenter": "stm_jax.infer.segmenter",
    "load": "stm_jax.weights.files",
    "save": "stm_jax.weights.files",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"stm_jax.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
