"""`stm-r18` from an ImageNet trunk, on photographs and videos with things pasted into them.

    stm-jax train --config configs/stm_r18.py --data DIR --run-folder runs/stm-r18

DIR holds `data/duts-tr-subset` and `data/coco-instances` (images/, masks/), `data/davis2016-train`
(the DAVIS 2016 layout, 480p) and `weights/resnet18_imagenet_trunk.safetensors`, with
torchvision's names.

Many hours on two CPU cores; the model card says how many, and what came out.
"""

import dataclasses
from pathlib import Path

from stm_jax.config import STM_R18
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs, Videos
from stm_jax.data.sources.protocol import Source
from stm_jax.train.config import StageConfig, TrainConfig

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    matching = DataConfig(
        sources=_sources(videos=0.4),
        held_back=HELD_BACK,
        pasted=3,
        objects=2,
        size=224,
        first_skip=2,
        last_skip=20,
    )
    # Clips long enough for the network's own mistakes to come back to it from the memory, with
    # objects enough to take for one another.
    crowded = dataclasses.replace(
        matching,
        sources=_sources(videos=0.5, crowds=0.4),
        pasted=4,
        objects=4,
        length=5,
        size=256,
        batch_size=2,
        last_skip=15,
    )
    # Things at the size that they have at 480 rows.
    full_size = dataclasses.replace(crowded, objects=3, size=384)
    stage = StageConfig(
        matching,
        steps=4000,
        learning_rate=3e-4,
        final_learning_rate=1e-4,
        warmup_steps=200,
        hardest_share=0.4,
        matching_weight=0.5,
        overlap_weight=0.5,
    )
    return TrainConfig(
        model=STM_R18,
        trunk=Path("weights/resnet18_imagenet_trunk.safetensors"),
        stages=(
            stage,
            dataclasses.replace(
                stage,
                data=crowded,
                steps=600,
                learning_rate=2e-4,
                final_learning_rate=1e-4,
                warmup_steps=40,
            ),
            dataclasses.replace(
                stage,
                data=full_size,
                steps=250,
                learning_rate=1e-4,
                final_learning_rate=1e-6,
                warmup_steps=20,
            ),
        ),
        key_frames=64,
        trunk_factor=0.2,
        freeze=("stems",),
        average_decay=0.998,
        checkpoint_every=100,
        validate_on=("dance-jump", "swing"),
        validate_every=1000,
    )


def _sources(videos: float, crowds: float = 0.2) -> tuple[Source, ...]:
    """Returns photographs and videos: which share is videos, and of the photographs crowds."""
    return (
        Photographs(Path("data/duts-tr-subset"), weight=(1.0 - crowds) * (1.0 - videos)),
        Photographs(Path("data/coco-instances"), weight=crowds * (1.0 - videos)),
        Videos(Path("data/davis2016-train"), weight=videos),
    )
