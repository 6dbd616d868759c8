"""What transfers: rules, reads and similarities, on videos that are drawn and on six filmed ones.

    stm-jax study configs/study_transfer.py --data DIR --out runs/study_transfer

DIR is as for `configs/stm_r18.py`, whose weights start all, and whose held-back sequences are
followed at the size that they are made for. What docs/study.md says of rules, reads and
similarities is from here. Two hours or so on two CPU cores; what is done is kept.
"""

import dataclasses
from pathlib import Path

from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs, Videos
from stm_jax.memory import Dam4Sam, EveryNth, Fifo, First, Previous, Samurai, XMem
from stm_jax.reads import Kernelized, TopK
from stm_jax.study import DataSet, Drawn, Study, Variant
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.train.config import StageConfig, TrainConfig

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")
SMALL = SyntheticConfig(height=144, width=256, objects=1)
VANISHING = dataclasses.replace(SMALL, frames=36, look_alikes=0, seen=(6, 15), away=(5, 15))
ALIKE = dataclasses.replace(SMALL, frames=24, look_alikes=2, away=(0, 0))
CHANGING = dataclasses.replace(
    SMALL, frames=48, look_alikes=0, away=(0, 0), scale=2.5, turn=150, bend=2, light=0.4
)

RULES = (
    Variant("every-5th", EveryNth(5)),
    Variant("first-previous", First(previous=True)),
    Variant("first", First()),
    Variant("previous", Previous()),
    Variant("fifo", Fifo(frames=5)),
    Variant("dam4sam", Dam4Sam()),
    Variant("samurai", Samurai()),
    Variant("xmem", XMem()),
)
READS = (
    Variant("every-5th-kernelized", EveryNth(5), Kernelized()),
    Variant("every-5th-top-k", EveryNth(5), TopK()),
    Variant("dam4sam-kernelized", Dam4Sam(), Kernelized()),
    Variant("dam4sam-top-k", Dam4Sam(), TopK()),
)


def _training(*similarity: str, anew: tuple[str, ...] = ()) -> TrainConfig:
    """Returns the recipe: short, for the keys are there, and the same for each similarity."""
    sources = (
        Photographs(Path("data/duts-tr-subset"), weight=0.5),
        Videos(Path("data/davis2016-train"), weight=0.5),
    )
    data = DataConfig(
        sources, held_back=HELD_BACK, pasted=2, objects=2, size=256, batch_size=2, last_skip=10
    )
    stage = StageConfig(
        data,
        steps=40,
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        warmup_steps=5,
        hardest_share=0.4,
        matching_weight=0.5,
        overlap_weight=0.5,
    )
    return TrainConfig(
        model=None,
        stages=(stage,),
        similarity=similarity,
        start_anew=anew,
        freeze=("norms",),
        trunk_factor=0.2,
        average_decay=0.9,
    )


SEEDS = (0, 1, 2)
HEADS = ("memory_head/shrinkage", "query_head/selection")
COSINE = ("cosine", "temperature=0.05")  # as sharp as the dot product of these weights
SIMILARITIES = (
    Variant("dot-product", EveryNth(5), training=_training("dot-product"), seeds=SEEDS),
    Variant("negative-l2", EveryNth(5), training=_training("negative-l2"), seeds=SEEDS),
    Variant(
        "anisotropic-l2",
        EveryNth(5),
        training=_training("anisotropic-l2", anew=HEADS),
        seeds=SEEDS,
    ),
    Variant("cosine", EveryNth(5), training=_training(*COSINE, anew=("similarity",)), seeds=SEEDS),
)


def get_study() -> Study:
    """Returns the study; paths are relative to DIR."""
    return Study(
        variants=(*RULES, *READS, *SIMILARITIES),
        videos=(
            DataSet(
                "held-back",
                Path("data/davis2016-train"),
                "davis2016",
                split="train",
                sequences=HELD_BACK,
                size=480,
            ),
            Drawn("vanishing", videos=10, knobs=VANISHING),
            Drawn("look-alikes", videos=8, knobs=ALIKE),
            Drawn("changing", videos=8, knobs=CHANGING),
        ),
        baseline="every-5th",
    )
