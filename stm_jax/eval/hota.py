"""HOTA, higher order tracking accuracy: detection and association of tracks in one figure.

Source: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking" (IJCV
2021), in the form of TrackEval, which its authors keep: matches are found once a frame, for all
thresholds, so that they agree best with those of the whole sequence.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.optimize
from jaxtyping import Float

THRESHOLDS = np.arange(1, 20) / 20
"""Of the intersection over union from which on two masks may be one: 0.05, 0.1, ... 0.95."""

EPSILON = np.finfo(float).eps


@dataclasses.dataclass(frozen=True)
class Frame:
    """The tracks that one frame shows.

    Attributes:
        true: Their places among the true tracks of the sequence, 0, 1, ...
        predicted: Likewise of the predicted ones.
        similarity: How alike each pair is, (true, predicted), from 0 to 1.
    """

    true: tuple[int, ...]
    predicted: tuple[int, ...]
    similarity: Float[np.ndarray, "true predicted"]


@dataclasses.dataclass(frozen=True)
class Matches:
    """What HOTA is computed of, one value a threshold; those of several sequences add up.

    Attributes:
        found: True masks that are matched.
        missed: True masks that are not.
        wrong: Predicted masks that are not.
        associated: The sum, over the matched masks, of how well their two tracks agree: the share
            of the masks of either track in which the two are matched.
    """

    found: Float[np.ndarray, " thresholds"]
    missed: Float[np.ndarray, " thresholds"]
    wrong: Float[np.ndarray, " thresholds"]
    associated: Float[np.ndarray, " thresholds"]

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(
            *(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self))
        )


def matches_of(frames: Sequence[Frame], true_tracks: int, predicted_tracks: int) -> Matches:
    """Returns the matches of one sequence."""
    alike = np.zeros((true_tracks, predicted_tracks))
    lengths = np.zeros((true_tracks, 1)), np.zeros((1, predicted_tracks))
    for frame in frames:
        true, predicted = list(frame.true), list(frame.predicted)
        lengths[0][true] += 1
        lengths[1][0, predicted] += 1
        of_any = frame.similarity.sum(0)[None] + frame.similarity.sum(1)[:, None]
        of_any -= frame.similarity
        share = np.divide(
            frame.similarity, of_any, out=np.zeros_like(of_any), where=of_any > EPSILON
        )
        alike[np.ix_(true, predicted)] += share
    agreement = alike / np.maximum(lengths[0] + lengths[1] - alike, EPSILON)
    counts = np.zeros((3, len(THRESHOLDS)))
    matched = np.zeros((len(THRESHOLDS), true_tracks, predicted_tracks))
    for frame in frames:
        true, predicted = np.array(frame.true, int), np.array(frame.predicted, int)
        score = agreement[np.ix_(true, predicted)] * frame.similarity
        rows, columns = scipy.optimize.linear_sum_assignment(score, maximize=True)
        reached = frame.similarity[rows, columns] >= THRESHOLDS[:, None] - EPSILON
        found = reached.sum(1)
        counts += found, len(true) - found, len(predicted) - found
        threshold, pair = np.nonzero(reached)
        matched[threshold, true[rows[pair]], predicted[columns[pair]]] += 1
    either = np.maximum(lengths[0] + lengths[1] - matched, 1)
    return Matches(*counts, associated=(matched**2 / either).sum((1, 2)))


@dataclasses.dataclass(frozen=True)
class Hota:
    """Means over the thresholds.

    Attributes:
        hota: The geometric mean of the other two, at each threshold.
        detection: DetA, matched masks among all, true and predicted.
        association: AssA, how well the tracks of matched masks agree.
    """

    hota: float
    detection: float
    association: float


def hota(sequences: Iterable[Matches]) -> Hota:
    """Returns HOTA of one or more sequences together."""
    first, *others = sequences
    total = sum(others, first)
    detection = total.found / np.maximum(total.found + total.missed + total.wrong, 1)
    association = total.associated / np.maximum(total.found, 1)
    means = [each.mean() for each in (np.sqrt(detection * association), detection, association)]
    return Hota(*map(float, means))
