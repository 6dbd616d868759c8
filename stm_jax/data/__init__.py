"""Frames, masks and video files; data sets as they lie on disk; training clips.

`DataConfig` and the kinds of source are names here too; functions are in the modules.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stm_jax.data.config import DataConfig as DataConfig
    from stm_jax.data.sources import Coco as Coco
    from stm_jax.data.sources import Davis as Davis
    from stm_jax.data.sources import Photographs as Photographs
    from stm_jax.data.sources import Videos as Videos
    from stm_jax.data.sources import YoutubeVos as YoutubeVos


def __getattr__(name: str) -> object:
    if name[:1].isupper():  # a class, which brings NumPy; no module
        config = importlib.import_module("stm_jax.data.config")
        for kind in (config.DataConfig, *config.KINDS):
            if kind.__name__ == name:
                return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
