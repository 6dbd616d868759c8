"""Training: losses, step, checkpoints, loop.

`fit` trains by a `TrainConfig`; the rest is in the modules.
"""

import importlib
from typing import TYPE_CHECKING

from stm_jax.train.config import StageConfig, TrainConfig

if TYPE_CHECKING:
    from stm_jax.train.loop import fit

__all__ = ["StageConfig", "TrainConfig", "fit"]


def __getattr__(name: str) -> object:
    if name == "fit":  # imported when asked for: a configuration file should not wait for JAX
        return importlib.import_module("stm_jax.train.loop").fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
