"""What VOST (Tokmakov, Li and Gaidon, CVPR 2023) ranks by besides J."""

from stm_jax.eval.davis import ObjectScores, statistics


def j_after_transformation(scores: ObjectScores) -> float:
    """Returns J_tr of one object: its mean J in the last quarter of the scored frames.

    The quarter begins at floor(3 n / 4) of n frames, as in the evaluator (evaluation/source, where
    it is called J_last): it holds a quarter of them, rounded up.
    """
    return statistics(scores.j[3 * len(scores.j) // 4 :]).mean
