"""`stm-r18` from an ImageNet trunk, on photographs and videos with things pasted into them.

    stm-jax train --config configs/stm_r18.py --data DIR --run-folder runs/stm-r18

DIR holds `data/duts-tr-subset` (images/, masks/), `data/davis2016-train` (the DAVIS 2016 layout,
480p) and `weights/resnet18_imagenet_trunk.safetensors` (torchvision names).
"""

import dataclasses
from pathlib import Path

from stm_jax.config import STM_R18, DataConfig, StageConfig, TrainConfig

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    several = DataConfig(
        photographs=Path("data/duts-tr-subset"),
        videos=Path("data/davis2016-train"),
        held_back=HELD_BACK,
        video_share=0.5,
        pasted=2,
        objects=2,
        size=224,
        first_skip=2,
        last_skip=25,
    )
    # One object at the size that it has at 480 rows, and things beside it to be told apart.
    full_size = dataclasses.replace(
        several, objects=1, size=384, batch_size=2, video_share=0.6, first_skip=5
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
                steps=800,
                learning_rate=1.5e-4,
                final_learning_rate=1e-6,
                matching_weight=0.5,
            ),
        ),
        key_frames=64,
        trunk_factor=0.2,
        checkpoint_every=100,
    )
