"""The tiny network on tiny clips, both kinds of stages: for trying out, and for tests.

    stm-jax train --config configs/tiny.py --data DIR --run-folder runs/tiny

DIR holds photographs (images/, masks/) and videos in the layout of DAVIS (JPEGImages/,
Annotations/). Takes about a minute on two CPU cores, most of it for compiling; nothing is learnt.
"""

import dataclasses
from pathlib import Path

from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs, Videos
from stm_jax.train.config import StageConfig, TrainConfig


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    photographs = DataConfig((Photographs(Path(".")),), size=32, batch_size=2)
    videos = dataclasses.replace(
        photographs,
        sources=(Photographs(Path("."), weight=0.5), Videos(Path("."), weight=0.5)),
        last_skip=3,
    )
    return TrainConfig(
        model=TINY,
        stages=(
            StageConfig(photographs, steps=4, learning_rate=1e-3, warmup_steps=1),
            StageConfig(videos, steps=4, learning_rate=1e-3, warmup_steps=1),
        ),
        log_every=1,
        checkpoint_every=4,
    )
