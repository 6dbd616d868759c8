"""Runs side by side: is one better than another, or is the difference one of chance?"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from stm_jax.checks import shown
from stm_jax.errors import InputError
from stm_jax.eval.keys import Key
from stm_jax.eval.scores import Scores

MEASURES = ("J&F", "J", "F")
RESAMPLES = 10_000
SEED = 0
CONFIDENCE = 0.95
FEW = 10  # sequences, below which the bootstrap's interval is known to be too narrow


@dataclasses.dataclass(frozen=True)
class Difference:
    """A run's mean less the first run's, over the objects that all runs have.

    Attributes:
      mean: the difference.
      interval: of 95 % by the bootstrap over sequences; None if there is one sequence only.
    """

    mean: float
    interval: tuple[float, float] | None

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0: without one, nothing is shown."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs over the objects that all of them have.

    Attributes:
      objects: how many of those each sequence has.
      sequences: of each sequence and measure, the mean of every run.
      total: of each measure, the mean of every run over objects.
      differences: of each measure, one for each run but the first.
      warnings: lines on what is not compared, or doubtful.
    """

    objects: Mapping[str, int]
    sequences: Mapping[str, Mapping[str, tuple[float, ...]]]
    total: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, tuple[Difference, ...]]
    warnings: tuple[str, ...]


def compare_runs(runs: Sequence[Scores], names: Sequence[str]) -> Comparison:
    """Returns the runs side by side, with differences to the first.

    Args:
      runs: two or more, of the same protocol.
      names: what to call each in messages.

    Raises:
      InputError: fewer than two runs, other protocols, or no object that all have.
    """
    if len(runs) < 2:
        raise InputError("there is nothing to compare: give two or more runs")
    for run, name in zip(runs[1:], names[1:], strict=True):
        if run.protocol != runs[0].protocol:
            raise InputError(
                f"{name} is scored by the protocol {shown(run.protocol)}, {names[0]} by"
                f" {shown(runs[0].protocol)}: their values mean different things, compare like"
                " with like"
            )
    common = [key for key in runs[0].objects if all(key in run.objects for run in runs)]
    if not common:
        raise InputError(f"there is no object that {' and '.join(names)} all have")
    sequences = list(dict.fromkeys(sequence for sequence, _ in common))
    place = {sequence: index for index, sequence in enumerate(sequences)}
    counts = np.bincount([place[sequence] for sequence, _ in common])
    sums = np.zeros((len(MEASURES), len(runs), len(sequences)))
    for sequence, object_id in common:
        for index, run in enumerate(runs):
            scores = run.objects[sequence, object_id]
            j, f = float(np.mean(scores.j)), float(np.mean(scores.f))
            sums[:, index, place[sequence]] += ((j + f) / 2, j, f)
    means, total = sums / counts, sums.sum(axis=-1) / counts.sum()
    return Comparison(
        objects=dict(zip(sequences, counts.tolist(), strict=True)),
        sequences={
            sequence: {
                measure: tuple(means[row, :, place[sequence]].tolist())
                for row, measure in enumerate(MEASURES)
            }
            for sequence in sequences
        },
        total={measure: tuple(total[row].tolist()) for row, measure in enumerate(MEASURES)},
        differences={
            measure: tuple(_difference(each - sums[row, 0], counts) for each in sums[row, 1:])
            for row, measure in enumerate(MEASURES)
        },
        warnings=tuple(_warnings(runs, names, common, len(sequences))),
    )


def _difference(sums: np.ndarray, counts: np.ndarray) -> Difference:
    """Returns the difference of the mean over objects, and its paired bootstrap interval.

    Sequences are drawn, not objects or frames: those of one sequence go well or badly together. A
    drawn sequence brings the differences of all its objects, so what is hard for both runs cancels.

    Args:
      sums: (sequences,) of the differences of a sequence's objects.
      counts: (sequences,) of objects.
    """
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Difference(mean, None)
    drawn = np.random.default_rng(SEED).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(mean, (float(low), float(high)))


def _warnings(
    runs: Sequence[Scores], names: Sequence[str], common: Sequence[Key], sequences: int
) -> list[str]:
    lines = []
    shared = {sequence for sequence, _ in common}
    for run, name in zip(runs, names, strict=True):
        without = {sequence for sequence, _ in run.objects} - shared
        if without:
            lines.append(f"not compared, as not all runs have them: {_some(without)} of {name}")
        missing = {f"{s}_{i}" for s, i in run.objects if s in shared} - {
            f"{s}_{i}" for s, i in common
        }
        if missing:
            lines.append(f"not compared, as not all runs have them: {_some(missing)} of {name}")
        other = {f"{s}_{i}" for s, i in common if run.frames[s, i] != runs[0].frames[s, i]}
        if other:
            lines.append(f"{name} has other frames than {names[0]} of {_some(other)}")
        if run.problems:
            lines.append(f"{name} was scored with {len(run.problems)} problems: {run.problems[0]}")
    if sequences == 1:
        lines.append("one sequence says nothing of others: there is no interval")
    elif sequences < FEW:
        lines.append(f"{sequences} sequences are few: the interval is likely too narrow")
    return lines


def _some(names: set[str]) -> str:
    first = sorted(names)[:5]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(first) + more
