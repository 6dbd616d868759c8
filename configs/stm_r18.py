"""`stm-r18` from an ImageNet trunk, on photographs and videos with things pasted into them.

    stm-jax train --config configs/stm_r18.py --data DIR --run-folder runs/stm-r18

DIR holds `data/duts-tr-subset` (images/, masks/), `data/davis2016-train` (the DAVIS 2016 layout,
480p) and `weights/resnet18_imagenet_trunk.safetensors` (torchvision names).

About an hour on two CPU cores. Made the bundled weights: mean J 0.780 and F 0.749 on the six
sequences held back, at 480 rows.
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
    several = DataConfig(
        sources=_sources(videos=0.5),
        held_back=HELD_BACK,
        pasted=2,
        objects=2,
        size=224,
        first_skip=2,
        last_skip=25,
    )
    # One object at the size that it has at 480 rows, and things beside it to be told apart.
    full_size = dataclasses.replace(
        several, sources=_sources(videos=0.6), objects=1, size=384, batch_size=2, first_skip=5
    )
    return TrainConfig(
        model=STM_R18,
        trunk=Path("weights/resnet18_imagenet_trunk.safetensors"),
        stages=(
            StageConfig(
                several,
                steps=600,
                learning_rate=3e-4,
                final_learning_rate=1e-4,
                matching_weight=0.5,
            ),
            StageConfig(
                full_size,
                steps=520,
                learning_rate=1.5e-4,
                final_learning_rate=1e-6,
                matching_weight=0.5,
            ),
        ),
        key_frames=64,
        trunk_factor=0.2,
        checkpoint_every=100,
        validate_on=("dance-jump", "swing"),
        validate_every=200,
    )


def _sources(videos: float) -> tuple[Source, ...]:
    """Returns photographs and videos, so many of the clips videos."""
    return (
        Photographs(Path("data/duts-tr-subset"), weight=1.0 - videos),
        Videos(Path("data/davis2016-train"), weight=videos),
    )
