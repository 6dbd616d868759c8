"""Memories of a bound on a stream of 10,000 frames that is drawn: who loses the object, and when?

    stm-jax study configs/study_long.py --out runs/study_long

Small frames and no look-alike, so that these memories do follow the object, in half an hour or so
on two CPU cores. One video has no interval: look at the curves over its time.
"""

from stm_jax.memory import Dam4Sam, Fifo, First
from stm_jax.study import Drawn, Study, Variant
from stm_jax.synthetic.config import SyntheticConfig

KNOBS = SyntheticConfig(frames=10_000, height=144, width=256, objects=1, look_alikes=0)


def get_study() -> Study:
    """Returns the study."""
    return Study(
        variants=(
            Variant("fifo", Fifo(frames=5)),
            Variant("dam4sam", Dam4Sam()),
            Variant("first-previous", First(previous=True)),
            Variant("first", First()),
        ),
        videos=(Drawn("long", videos=1, knobs=KNOBS),),
        baseline="fifo",
    )
