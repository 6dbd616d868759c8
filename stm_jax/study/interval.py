"""Is a variant better than the baseline, or is the difference one of chance?"""

import warnings
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 0
BATCH = 500  # resamples at a time, which bounds the memory


class Difference(NamedTuple):
    """A variant's mean less the baseline's.

    Attributes:
        mean: The difference.
        low: Of the interval at 95 %; None if there is one video only.
        high: Likewise.
    """

    mean: float
    low: float | None
    high: float | None


def mean_of(
    sums: Float[np.ndarray, "seeds videos"], objects: Int[np.ndarray, " videos"]
) -> Float[np.ndarray, " seeds"]:
    """Returns the mean over the objects of all videos, of each seed.

    Args:
        sums: Over the objects of a video.
        objects: How many it has.
    """
    return sums.sum(axis=1) / objects.sum()


def difference(
    variant: Float[np.ndarray, "seeds videos"],
    baseline: Float[np.ndarray, "seeds2 videos"],
    objects: Int[np.ndarray, " videos"],
    *,
    same_weights: bool = False,
) -> Difference:
    """Returns the difference of two means over objects, and its paired bootstrap interval.

    The pairs are videos: a drawn video brings the sums of its objects of both, so that what is
    hard for both cancels, and the objects of a video, which go well or badly together, stay
    together. Where there are several seeds these are drawn as well, the same for all videos, for
    other weights move all videos at once. The interval is that of percentiles, by
    `scipy.stats.bootstrap`.

    Args:
        variant: Sums over the objects of each video, of each seed.
        baseline: The same of the baseline, which may have other seeds.
        objects: How many each video has.
        same_weights: Whether both have the same seeds, and each seed's weights are both's: seeds
            are then pairs, too. Otherwise each has its own drawn.
    """
    mean = float(mean_of(variant, objects).mean() - mean_of(baseline, objects).mean())
    if len(objects) < 2:
        return Difference(mean, None, None)
    runs = (variant, baseline)
    drawn = [np.arange(len(objects))]
    # Seeds of both together, or of each; not of what has one only, for scipy asks for two.
    drawn += [np.arange(len(s)) for s in (runs[:1] if same_weights else runs) if len(s) > 1]

    def statistic(videos: np.ndarray, *seeds: np.ndarray, axis: int = -1) -> np.ndarray:
        del axis  # always the last
        of_seeds = iter(seeds * 2 if same_weights else seeds)
        means = []
        for sums in runs:
            if len(sums) > 1:
                chosen = sums[next(of_seeds)[..., :, None], videos[..., None, :]].mean(axis=-2)
            else:
                chosen = sums[0][videos]
            means.append(chosen.sum(axis=-1) / objects[videos].sum(axis=-1))
        return means[0] - means[1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where all differences are the same
        found = scipy.stats.bootstrap(
            drawn,
            statistic,
            n_resamples=RESAMPLES,
            batch=BATCH,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return Difference(mean, float(found.low), float(found.high))
