"""Scores one frame of a benchmark: reads truth and prediction, and says what is wrong with them."""

import dataclasses
import pathlib

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.mask_values import VOID
from stm_jax.eval.davis import score_frame
from stm_jax.eval.predictions import Problem, read_prediction


@dataclasses.dataclass(frozen=True)
class Task:
    """Some neighbouring frames of a sequence, by index, with what is predicted for each."""

    sequence: BenchmarkSequence
    indices: tuple[int, ...]
    predictions: tuple[pathlib.Path | Problem, ...]


@dataclasses.dataclass(frozen=True)
class FrameScores:
    """J and F of every object of the sequence in one frame.

    Attributes:
      j: one value an object, in the order of the sequence's `object_ids`.
      f: likewise.
      shown: which of them the truth shows.
      problem: why all values are 0, if something was wrong.
      extra: the number of pixels of each predicted id that is none of the objects.
    """

    j: tuple[float, ...]
    f: tuple[float, ...]
    shown: tuple[bool, ...]
    problem: Problem | None = None
    extra: tuple[tuple[int, int], ...] = ()


def score_frames(task: Task) -> list[FrameScores]:
    """Returns the scores of each frame of the task.

    Raises:
      InputError: a true mask cannot be read.
    """
    pairs = zip(task.indices, task.predictions, strict=True)
    return [_score(task.sequence, index, prediction) for index, prediction in pairs]


def _score(
    sequence: BenchmarkSequence, index: int, prediction: pathlib.Path | Problem
) -> FrameScores:
    object_ids = sequence.object_ids
    zeros = (0.0,) * len(object_ids)
    if sequence.truths[index] is None:
        problem = Problem(str(sequence.frames[index]), "has no true mask")
        return FrameScores(zeros, zeros, (True,) * len(object_ids), problem)
    truth = sequence.truth(index)
    shown = tuple(bool((truth == object_id).any()) for object_id in object_ids)
    ids = prediction
    if isinstance(ids, pathlib.Path):
        ids = read_prediction(ids, truth.shape, object_ids, sequence.merged)
    if isinstance(ids, Problem):
        return FrameScores(zeros, zeros, shown, ids)
    known = truth != VOID
    if not known.all():
        truth, ids = truth * known, ids * known
    scores = score_frame(ids, truth, object_ids)
    return FrameScores(*scores, shown, extra=_other_ids(ids, object_ids))


def _other_ids(ids: np.ndarray, object_ids: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Returns how many pixels each id has that is neither background nor one of the objects."""
    own = sum(np.count_nonzero(ids == object_id) for object_id in object_ids)
    if own == np.count_nonzero(ids):  # as it should be, and quicker to see than all the counts
        return ()
    pixels = np.bincount(ids.ravel(), minlength=256)
    pixels[[0, *object_ids]] = 0
    return tuple((int(i), int(pixels[i])) for i in np.flatnonzero(pixels))
