"""Four memories on videos that are drawn, with the bundled weights: a study that trains nothing.

    stm-jax study configs/study_rules.py --out runs/study_rules

Objects vanish for up to 20 frames, so the previous frame alone should not do. Takes two minutes
on two CPU cores.
"""

from stm_jax.memory import EveryNth, Fifo, First, Previous
from stm_jax.study import Drawn, Study, Variant
from stm_jax.synthetic.config import SyntheticConfig

KNOBS = SyntheticConfig(frames=40, height=144, width=256, look_alikes=0, seen=(8, 20), away=(5, 20))


def get_study() -> Study:
    """Returns the study."""
    return Study(
        variants=(
            Variant("every-5th", EveryNth(5)),
            Variant("first", First()),
            Variant("previous", Previous()),
            Variant("fifo", Fifo(frames=3)),
        ),
        videos=(Drawn("vanishing", videos=8, knobs=KNOBS),),
        baseline="every-5th",
    )
