"""The paper's ablation of the memory: first, previous, both, every fifth frame.

    stm-jax study configs/study_ablation.py --data DIR --out runs/study_ablation

DIR is as for `configs/stm_r18.py`, with `data/davis2017-multiobject` beside: the six sequences that
the bundled weights were not trained on, at 480 and at 240 rows, and `schoolgirls`, seven objects,
at its own 240 rows and enlarged to 480. It trains nothing, and takes some 35 minutes on two CPU
cores.
"""

from pathlib import Path

from stm_jax.memory import EveryNth, First, Previous
from stm_jax.study import DataSet, Study, Variant

HELD_BACK = ("bear", "car-turn", "dance-jump", "horsejump-low", "motorbike", "swing")


def get_study() -> Study:
    """Returns the study; paths are relative to DIR."""
    six, girls = Path("data/davis2016-train"), Path("data/davis2017-multiobject")
    return Study(
        variants=(
            Variant("first", First()),
            Variant("previous", Previous()),
            Variant("both", First(previous=True)),
            Variant("every-5th", EveryNth(5)),
        ),
        videos=(
            DataSet("six-480", six, "davis2016", split="train", sequences=HELD_BACK),
            DataSet("six-240", six, "davis2016", split="train", sequences=HELD_BACK, size=240),
            DataSet("schoolgirls", girls, "davis2017", split="train", sequences=("schoolgirls",)),
            DataSet(
                "schoolgirls-480",
                girls,
                "davis2017",
                split="train",
                sequences=("schoolgirls",),
                size=480,
            ),
        ),
        baseline="both",
    )
