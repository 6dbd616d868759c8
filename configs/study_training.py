"""Two similarities, each trained with two seeds: a study that trains, for trying out.

    stm-jax study configs/study_training.py --data DIR --out runs/study_training

DIR holds photographs (images/, masks/). The network is tiny and learns nothing in so few steps. For
a study that means something give None for TINY, so that each training starts from the study's
weights, stages as in configs/finetune.py or configs/stm_r18.py, and more videos and seeds.
"""

from pathlib import Path

from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs
from stm_jax.memory import EveryNth, Fifo
from stm_jax.study import Drawn, Study, Variant
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.train.config import StageConfig, TrainConfig

SEEDS = (0, 1)


def training(*similarity: str) -> TrainConfig:
    """Returns the same recipe with another similarity."""
    data = DataConfig((Photographs(Path(".")),), size=32, batch_size=2)
    stage = StageConfig(data, steps=8, learning_rate=1e-3, warmup_steps=1)
    return TrainConfig(TINY, (stage,), similarity=similarity, checkpoint_every=4)


def get_study() -> Study:
    """Returns the study; paths of its trainings are relative to DIR."""
    return Study(
        variants=(
            Variant("dot-product", EveryNth(5), training=training(), seeds=SEEDS),
            Variant("negative-l2", EveryNth(5), training=training("negative-l2"), seeds=SEEDS),
            # The same weights with another memory: nothing is trained again.
            Variant("dot-product-fifo", Fifo(frames=3), training=training(), seeds=SEEDS),
        ),
        videos=(Drawn("small", videos=3, knobs=SyntheticConfig(frames=12, height=48, width=80)),),
        baseline="dot-product",
    )
