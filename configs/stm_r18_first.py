"""`stm-r18` from an ImageNet trunk: photographs, then videos. The bundled weights.

    stm-jax train --config configs/stm_r18_first.py --data DIR --run RUN

DIR holds `photographs/` (images/, masks/), `videos/` (the DAVIS 2016 layout) and
`resnet18.safetensors`.
"""

import pathlib

from stm_jax.config import STM_R18, DataConfig, StageConfig, TrainConfig

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_config(data: pathlib.Path) -> TrainConfig:
    """Returns the recipe for data in this folder."""
    photographs = DataConfig(photographs=data / "photographs", size=192)
    videos = DataConfig(
        photographs=data / "photographs",
        videos=data / "videos",
        held_back=HELD_BACK,
        video_share=0.7,
        size=224,
        first_skip=2,
        last_skip=25,
    )
    return TrainConfig(
        model=STM_R18,
        trunk=data / "resnet18.safetensors",
        stages=(
            StageConfig(photographs, steps=1200, learning_rate=3e-4, final_learning_rate=1e-4),
            StageConfig(videos, steps=1500, learning_rate=2e-4, final_learning_rate=2e-6),
        ),
        trunk_factor=0.5,
    )
