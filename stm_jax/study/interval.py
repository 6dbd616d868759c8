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
) -> Difference:
    """Returns the difference of two means over objects, and its paired bootstrap interval.

    The pairs are videos: a drawn video brings the sums of its objects of both, so that what is
    hard for both cancels, and the objects of a video, which go well or badly together, stay
    together. Where a variant has several seeds these are drawn as well, each variant's for itself
    and the same for all videos: training again moves all videos at once. The interval is that of
    percentiles, by `scipy.stats.bootstrap`.

    Args:
        variant: Sums over the objects of each video, of each seed.
        baseline: The same of the baseline, which may have other seeds.
        objects: How many each video has.
    """
    mean = float(mean_of(variant, objects).mean() - mean_of(baseline, objects).mean())
    if len(objects) < 2:
        return Difference(mean, None, None)
    several = [len(each) > 1 for each in (variant, baseline)]
    drawn = [np.arange(len(objects))]
    drawn += [
        np.arange(len(s)) for s, more in zip((variant, baseline), several, strict=True) if more
    ]

    def statistic(videos: np.ndarray, *seeds: np.ndarray, axis: int = -1) -> np.ndarray:
        del axis  # always the last
        of_seeds = iter(seeds)
        means = []
        for sums, more in zip((variant, baseline), several, strict=True):
            if more:
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
