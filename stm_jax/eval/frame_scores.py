"""Scores one frame of a benchmark: reads truth and prediction, and says what is wrong with them."""

import dataclasses
import pathlib

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.mask_values import VOID
from stm_jax.data.protocols import RULES, Protocol
from stm_jax.eval.davis import score_frame
from stm_jax.eval.predictions import Problem, read_prediction


@dataclasses.dataclass(frozen=True)
class Task:
    """Some neighbouring frames of a sequence, by index, with what is predicted for each."""

    sequence: BenchmarkSequence
    indices: tuple[int, ...]
    predictions: tuple[pathlib.Path | Problem, ...]
    protocol: Protocol


@dataclasses.dataclass(frozen=True)
class FrameScores:
    """J and F of every object of the sequence in one frame.

    Attributes:
      j: one value an object, in the order of the sequence's `object_ids`.
      f: likewise.
      shown: which of them the truth shows.
      problem: why all values are 0, if something was wrong.
      extra: the number of pixels of each predicted id that is none of the objects.
      predicted: BURST: which of the objects the prediction shows.
      overlaps: BURST: the intersection over union of each true and each predicted object.
    """

    j: tuple[float, ...]
    f: tuple[float, ...]
    shown: tuple[bool, ...]
    problem: Problem | None = None
    extra: tuple[tuple[int, int], ...] = ()
    predicted: tuple[bool, ...] = ()
    overlaps: tuple[tuple[float, ...], ...] = ()


def score_frames(task: Task) -> list[FrameScores]:
    """Returns the scores of each frame of the task.

    Raises:
      InputError: a true mask cannot be read.
    """
    pairs = zip(task.indices, task.predictions, strict=True)
    return [_score(task, index, prediction) for index, prediction in pairs]


def _score(task: Task, index: int, prediction: pathlib.Path | Problem) -> FrameScores:
    sequence, tracks = task.sequence, task.protocol == "burst"
    object_ids = sequence.object_ids
    zeros = (0.0,) * len(object_ids)
    nothing = ((False,) * len(object_ids), (zeros,) * len(object_ids)) if tracks else ((), ())
    if sequence.truths[index] is None:
        problem = Problem(str(sequence.frames[index]), "has no true mask")
        return FrameScores(zeros, zeros, (True,) * len(object_ids), problem, (), *nothing)
    truth = sequence.truth(index)
    shown = tuple(bool((truth == object_id).any()) for object_id in object_ids)
    ids = prediction
    if isinstance(ids, pathlib.Path):
        ids = read_prediction(ids, truth.shape, object_ids, sequence.merged)
    if isinstance(ids, Problem):
        return FrameScores(zeros, zeros, shown, ids, (), *nothing)
    known = truth != VOID
    if RULES[task.protocol].void and not known.all():
        truth, ids = truth * known, ids * known
    scores, extra = score_frame(ids, truth, object_ids), _other_ids(ids, object_ids)
    overlaps = _overlaps(ids, truth, object_ids) if tracks else ((), ())
    return FrameScores(*scores, shown, None, extra, *overlaps)


def _overlaps(
    ids: np.ndarray, truth: np.ndarray, object_ids: tuple[int, ...]
) -> tuple[tuple[bool, ...], tuple[tuple[float, ...], ...]]:
    """Returns which objects are predicted, and J of each true with each predicted object."""
    pairs = np.bincount((truth.astype(np.uint16) << 8 | ids).ravel(), minlength=2**16)
    both = pairs.reshape(256, 256)
    true, predicted = both.sum(1)[list(object_ids)], both.sum(0)[list(object_ids)]
    shared = both[np.ix_(object_ids, object_ids)]
    either = np.maximum(true[:, None] + predicted - shared, 1)
    return tuple((predicted > 0).tolist()), tuple(map(tuple, (shared / either).tolist()))


def _other_ids(ids: np.ndarray, object_ids: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Returns how many pixels each id has that is neither background nor one of the objects."""
    own = sum(np.count_nonzero(ids == object_id) for object_id in object_ids)
    if own == np.count_nonzero(ids):  # as it should be, and quicker to see than all the counts
        return ()
    pixels = np.bincount(ids.ravel(), minlength=256)
    pixels[[0, *object_ids]] = 0
    return tuple((int(i), int(pixels[i])) for i in np.flatnonzero(pixels))
