"""The paper's pre-training: clips made of photographs, 384x384, Adam at 1e-5, batch 4.

    stm-jax train --config configs/static_pretrain.py --data DIR --run-folder runs/static

DIR holds, as they are unpacked, `MSRA10K_Imgs_GT` and `ECSSD` (what strikes the eye), `VOCdevkit`
and `COCO` (train2017, annotations; objects of 20 and 80 kinds), and beside them
`weights/resnet50_imagenet_trunk.safetensors` (torchvision names).
DUTS, which came later, can take the place of the first two: Photographs(Path("DUTS-TR")).

Cost and result are unknown: it has not been run to its end here. It is the first stage of
`davis_main.py` and `youtube_vos_main.py`, whose results the paper gives. The paper gives no number
of steps and no shares of the data sets: those here are guesses.
"""

from pathlib import Path

from stm_jax.config import STM_R50
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Coco, Photographs
from stm_jax.train.config import StageConfig, TrainConfig


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    data = DataConfig(
        sources=(
            Photographs(Path("MSRA10K_Imgs_GT/Imgs"), weight=1.0),
            Photographs(Path("ECSSD"), weight=0.2),
            Photographs(Path("VOCdevkit/VOC2012"), weight=1.0),
            Coco(
                Path("COCO/annotations/instances_train2017.json"),
                Path("COCO/train2017"),
                weight=3.0,
            ),
        ),
        pasted=0,
        objects=3,
        size=384,
        batch_size=4,
    )
    return TrainConfig(
        model=STM_R50,
        trunk=Path("weights/resnet50_imagenet_trunk.safetensors"),
        stages=(
            StageConfig(
                data, steps=300_000, learning_rate=1e-5, final_learning_rate=1e-5, warmup_steps=0
            ),
        ),
        weight_decay=0.0,
        clip_norm=1e9,  # none in the paper
        checkpoint_every=1000,
    )
