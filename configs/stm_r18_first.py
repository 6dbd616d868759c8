"""`stm-r18` from an ImageNet trunk: photographs, then videos. Made the bundled weights.

    stm-jax train --config configs/stm_r18_first.py --data DIR --run-folder runs/first

DIR holds `data/duts-tr-subset` (images/, masks/), `data/davis2016-train` (the DAVIS 2016 layout,
480p) and `weights/resnet18_imagenet_trunk.safetensors` (torchvision names).
"""

import dataclasses
from pathlib import Path

from stm_jax.config import (
    STM_R18,
    DataConfig,
    Photographs,
    Source,
    StageConfig,
    TrainConfig,
    Videos,
)

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    photographs = DataConfig(_sources(videos=0.0), size=192)
    videos = DataConfig(
        sources=_sources(videos=0.7),
        held_back=HELD_BACK,
        size=224,
        first_skip=2,
        last_skip=25,
    )
    # The first two stages see objects smaller than they are at 480 rows: this one does not.
    full_size = dataclasses.replace(videos, size=384, batch_size=2, first_skip=5)
    # Several objects, and things beside them that are not to be followed.
    crowded = dataclasses.replace(full_size, sources=_sources(videos=0.6), pasted=2, objects=2)
    alone = dataclasses.replace(crowded, objects=1)
    return TrainConfig(
        model=STM_R18,
        trunk=Path("weights/resnet18_imagenet_trunk.safetensors"),
        stages=(
            StageConfig(photographs, steps=1200, learning_rate=3e-4, final_learning_rate=1e-4),
            StageConfig(videos, steps=1100, learning_rate=2e-4, final_learning_rate=2e-6),
            StageConfig(full_size, steps=450, learning_rate=2e-4, final_learning_rate=2e-6),
            StageConfig(crowded, steps=250, learning_rate=1.5e-4, final_learning_rate=1.4e-4),
            StageConfig(alone, steps=1300, learning_rate=1.2e-4, final_learning_rate=1.5e-5),
            StageConfig(crowded, steps=300, learning_rate=1.5e-5, final_learning_rate=1e-6),
        ),
        checkpoint_every=100,
        trunk_factor=0.5,
    )


def _sources(videos: float) -> tuple[Source, ...]:
    """Returns photographs and videos, so many of the clips videos."""
    return (
        Photographs(Path("data/duts-tr-subset"), weight=1.0 - videos),
        Videos(Path("data/davis2016-train"), weight=videos),
    )
