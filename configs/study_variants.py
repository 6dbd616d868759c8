"""Memories and reads that need no training, with default knobs, on sequences of DAVIS.

    stm-jax study configs/study_variants.py --data DAVIS --out runs/study_variants

DAVIS holds JPEGImages, Annotations and ImageSets of DAVIS 2016. The sequences are those that the
bundled weights were not trained on.
"""

from pathlib import Path

from stm_jax.study import DataSet, Study
from stm_jax.study.variants import VARIANTS

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_study() -> Study:
    """Returns the study; its data set is DAVIS itself."""
    davis = DataSet("davis", Path(), "davis2016", split="train", sequences=HELD_BACK, size=480)
    return Study(variants=VARIANTS, videos=(davis,), baseline="stm")
