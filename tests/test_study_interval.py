"""The paired bootstrap of a study: it is scipy's, draws what it says it does, and covers."""

import numpy as np
import pytest
import scipy.stats

from stm_jax.eval import comparison
from stm_jax.study import interval
from stm_jax.study.interval import difference, mean_of

TRUE = 0.02


def one_study(
    rng: np.random.Generator, videos: int, seeds: int, of_seeds: float, same: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns sums of a variant that is better by `TRUE`, of the baseline, and objects.

    Videos are hard for both alike, the variant's gain is another in each; what a seed's weights
    gain is the same in all videos, and `same` weights give both the same.
    """
    objects = rng.integers(1, 5, videos)
    hard = rng.normal(0.6, 0.2, videos)
    gain = rng.normal(TRUE, 0.05, videos)

    def sums(effect: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return (hard + effect + weights + rng.normal(0, 0.03, (seeds, videos))) * objects

    weights = rng.normal(0, of_seeds, (2, seeds, 1))
    return sums(gain, weights[0]), sums(0 * gain, weights[0 if same else 1]), objects


def test_with_one_seed_it_is_the_plain_paired_bootstrap_of_scipy():
    variant, baseline, objects = one_study(np.random.default_rng(0), 9, 1, 0.0)
    found = difference(variant, baseline, objects)
    expected = scipy.stats.bootstrap(
        (variant[0], baseline[0], objects),
        lambda a, b, n, axis: a.sum(axis) / n.sum(axis) - b.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=interval.RESAMPLES,
        batch=interval.BATCH,
        method="percentile",
        rng=np.random.default_rng(interval.SEED),
    ).confidence_interval
    assert found.mean == pytest.approx((variant - baseline).sum() / objects.sum(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("same", [False, True])
def test_videos_and_seeds_are_drawn_as_it_says(same):
    variant, baseline, objects = one_study(np.random.default_rng(1), 6, 3, 0.02, same)
    found = difference(variant, baseline, objects, same_weights=same)
    rng, means = np.random.default_rng(interval.SEED), []
    for begin in range(0, interval.RESAMPLES, interval.BATCH):
        count = min(interval.BATCH, interval.RESAMPLES - begin)
        videos = rng.integers(0, 6, (count, 6))
        mine = rng.integers(0, 3, (count, 3))
        others = mine if same else rng.integers(0, 3, (count, 3))
        for v, a, b in zip(videos, mine, others, strict=True):
            runs = variant[a][:, v], baseline[b][:, v]
            one, other = (mean_of(run, objects[v]).mean() for run in runs)
            means.append(one - other)
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "same"),
    [(1, 0.0, False), (3, 0.01, False), (2, 0.02, True)],
)
def test_it_covers_the_true_difference(seeds, of_seeds, same, monkeypatch):
    monkeypatch.setattr(interval, "RESAMPLES", 1000)
    rng, covered = np.random.default_rng(2), 0
    for _ in range(200):
        variant, baseline, objects = one_study(rng, 20, seeds, of_seeds, same)
        found = difference(variant, baseline, objects, same_weights=same)
        assert found.low is not None and found.high is not None
        covered += found.low <= TRUE <= found.high
    print(f"{seeds} seeds: {covered} of 200 intervals cover")
    assert 180 <= covered <= 198


def test_one_video_has_no_interval():
    found = difference(np.ones((1, 1)), np.zeros((1, 1)), np.array([2]))
    assert found == (0.5, None, None)


def test_the_bootstrap_of_compared_runs_is_scipys():
    """Of `stm-jax compare`, which draws sequences with all their objects as well."""
    rng = np.random.default_rng(3)
    sums, counts = rng.normal(0.1, 0.2, 12), rng.integers(1, 5, 12)
    found = comparison._difference(sums, counts)
    expected = scipy.stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=comparison.RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(comparison.SEED),
    ).confidence_interval
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-9)
