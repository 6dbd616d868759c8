"""What LVOS (Hong et al., ICCV 2023 and T-PAMI 2025) ranks by besides J and F.

Source: `lvos-evaluation` of its authors, as of 2024.
"""

import math
import statistics
from collections.abc import Sequence

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.listing import read_list
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.keys import Key

UNSEEN = "unseen_videos.txt"


def stability(scores: ObjectScores) -> float:
    """Returns V of one object: how much its J&F varies over time; 0 is steady, lower is better.

    It is the standard deviation over its scored frames, of which the variance is rounded to four
    digits, as the evaluator rounds it: the smallest V above 0 is 0.01.
    """
    both = [(j + f) / 2 for j, f in zip(scores.j, scores.f, strict=True)]
    return math.sqrt(round(statistics.pvariance(both), 4))


def seen_objects(sequences: Sequence[BenchmarkSequence]) -> tuple[dict[Key, bool], str | None]:
    """Returns of each object whether its video is one of seen categories, or why nobody knows.

    The videos of unseen categories are those in `unseen_videos.txt`, which comes with the evaluator
    of LVOS, not with the data, and differs between v1 and v2. It is looked for in the folder that
    holds JPEGImages and in the one above, and never guessed.
    """
    # ROOT/valid/JPEGImages/VIDEO/00000001.jpg
    folders = sequences[0].frames[0].parents[2:4]
    file = next((each / UNSEEN for each in folders if (each / UNSEEN).is_file()), None)
    if file is None:
        looked = " or ".join(str(each / UNSEEN) for each in folders)
        return {}, f"seen and unseen are not told apart: no {looked}; LVOS's evaluator has it"
    unseen = set(read_list(file))
    return {
        (sequence.name, object_id): sequence.name not in unseen
        for sequence in sequences
        for object_id in sequence.object_ids
    }, None
