"""The DAVIS measures: region similarity J, contour accuracy F, and their statistics.

Sources: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation" (CVPR 2016), and Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object
Segmentation" (2017). The values equal those of the official DAVIS 2017 evaluator for
semi-supervised segmentation, with two intended differences: decay is right for sequences of more
than 256 frames, and a predicted id that is none of the objects counts as background.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.errors import InputError

Mask = Bool[np.ndarray, "height width"]
Ids = UInt8[np.ndarray, "height width"]


def region_similarity(prediction: Mask, truth: Mask) -> float:
    """Returns J, the intersection over union of two masks; 1 where both are empty.

    Raises:
      InputError: the two masks differ in shape, or are not (height, width).
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    _check_pair(prediction, truth)
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0


def contour_accuracy(prediction: Mask, truth: Mask, tolerance: float = 0.008) -> float:
    """Returns F, the harmonic mean of the precision and recall of the predicted contour.

    A contour pixel is matched if the other mask has a contour pixel within
    `ceil(tolerance * diagonal)` pixels, `tolerance` being a fraction of the image's diagonal.
    No predicted contour has precision 1, no true contour has recall 1; so F is 1 where both are
    missing and 0 where one is.

    Raises:
      InputError: the two masks differ in shape, or are not (height, width).
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    _check_pair(prediction, truth)
    radius = math.ceil(tolerance * math.hypot(*truth.shape))
    window = _window(prediction | truth)
    return _match_contours(prediction[window], truth[window], radius)


def score_frame(
    prediction: Ids, truth: Ids, object_ids: Sequence[int], tolerance: float = 0.008
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns J and F of each object, as `region_similarity` and `contour_accuracy` give them.

    Args:
      prediction: ids; those not in `object_ids` are background, here and in the truth.
      truth: ids of the same frame. Void pixels are to be 0 in both, as in the official evaluator.
      object_ids: the objects, in the order of the result.
      tolerance: of `contour_accuracy`.

    Raises:
      InputError: the two differ in shape, or are not (height, width).
    """
    _check_pair(prediction, truth)
    radius = math.ceil(tolerance * math.hypot(*truth.shape))
    window = _window((prediction | truth) != 0)
    prediction, truth = prediction[window], truth[window]
    j, f = [], []
    for object_id in object_ids:
        predicted, true = prediction == object_id, truth == object_id
        either = predicted | true
        window = _window(either)
        union = np.count_nonzero(either)
        j.append(np.count_nonzero(predicted & true) / union if union else 1.0)
        f.append(_match_contours(predicted[window], true[window], radius))
    return tuple(j), tuple(f)


def boundary(mask: Mask) -> Mask:
    """Returns the contour of a mask, one pixel wide.

    A pixel belongs to it if its neighbour to the right, below, or right below differs. The last
    row is compared only with its right neighbours, the last column only downwards: the image's
    border is no contour. The rule is that of `seg2bmap` in the Berkeley segmentation benchmark
    (Martin, Fowlkes and Malik, 2004).
    """
    contour = np.zeros(mask.shape, bool)
    contour[:, :-1] = mask[:, :-1] != mask[:, 1:]
    contour[:-1] |= mask[:-1] != mask[1:]
    contour[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return contour


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What DAVIS reports of one measure.

    Attributes:
      mean: over the frames.
      recall: share of the frames with a value strictly above 0.5.
      decay: mean of the first quarter of the frames minus mean of the last; negative if the
        measure rises.
    """

    mean: float
    recall: float
    decay: float


def statistics(values: Sequence[float]) -> Statistics:
    """Returns mean, recall and decay of one object's values, one per frame, at least one.

    The quarters end at `round(linspace(1, N, 5))`, halves rounded up, and hold both their ends:
    neighbours share a frame, as in the official evaluator.

    Raises:
      InputError: there are no values.
    """
    frames = np.asarray(values, np.float64)
    if not frames.size:
        raise InputError("no frames to take J and F statistics of: give at least one value")
    # Whole numbers, counted from 0: rounding is exact and nothing overflows, however many frames.
    first_end, last_start = ((quarter * (frames.size - 1) + 2) // 4 for quarter in (1, 3))
    return Statistics(
        mean=float(frames.mean()),
        recall=float((frames > 0.5).mean()),
        decay=float(frames[: first_end + 1].mean() - frames[last_start:].mean()),
    )


@dataclasses.dataclass(frozen=True)
class ObjectScores:
    """J and F of one object in every scored frame of a sequence, in the order of the frames.

    The first value belongs to the sequence's second frame.
    """

    object_id: int
    j: tuple[float, ...]
    f: tuple[float, ...]


def score_sequence(
    predictions: Iterable[Ids], truths: Iterable[Ids], object_ids: Sequence[int]
) -> tuple[ObjectScores, ...]:
    """Returns J and F of every object in every frame but the first and the last.

    The first frame's mask is given to the method, and the DAVIS protocol leaves the last one out.

    Args:
      predictions: id masks, (T, height, width) or one (height, width) after the other; two
        frames are held at a time, so a generator that reads files will do.
      truths: true id masks of the same frames; ids not in `object_ids` are background in both.
      object_ids: the objects to score, in the order of the result.

    Raises:
      InputError: there are no objects, 0 is among them, there are fewer than three frames, one
        side has more frames than the other, or the two masks of a frame differ in shape.
    """
    if len(object_ids) == 0 or 0 in object_ids:
        raise InputError(
            "cannot score these object ids: give at least one, and not 0, the background"
        )
    j: list[list[float]] = [[] for _ in object_ids]
    f: list[list[float]] = [[] for _ in object_ids]
    # The first of each two neighbours is never the last frame; skipping one drops the first.
    neighbours = itertools.pairwise(_paired(predictions, truths))
    for (prediction, truth), _ in itertools.islice(neighbours, 1, None):
        scores = score_frame(prediction, truth, object_ids)
        for values, new in zip((j, f), scores, strict=True):
            for of_object, value in zip(values, new, strict=True):
                of_object.append(value)
    if not j[0]:
        raise InputError(
            "cannot score fewer than three frames: the first and the last are left out"
        )
    return tuple(
        ObjectScores(int(object_id), tuple(j_values), tuple(f_values))
        for object_id, j_values, f_values in zip(object_ids, j, f, strict=True)
    )


@dataclasses.dataclass(frozen=True)
class GlobalScore:
    """J and F of a method: each statistic is the mean over objects of that statistic."""

    j: Statistics
    f: Statistics

    @property
    def j_and_f(self) -> float:
        """The mean of J mean and F mean, by which DAVIS 2017 ranks."""
        return (self.j.mean + self.f.mean) / 2


def mean_over_objects(scores: Iterable[ObjectScores]) -> GlobalScore:
    """Returns the mean over all objects of all sequences, each object weighing the same.

    Raises:
      InputError: there are no objects.
    """
    objects = tuple(scores)
    if not objects:
        raise InputError("no objects to average J and F over: score at least one sequence")
    return GlobalScore(
        j=_mean_statistics([statistics(each.j) for each in objects]),
        f=_mean_statistics([statistics(each.f) for each in objects]),
    )


def _mean_statistics(objects: Sequence[Statistics]) -> Statistics:
    return Statistics(*np.mean([dataclasses.astuple(each) for each in objects], axis=0).tolist())


def _paired(
    predictions: Iterable[Ids], truths: Iterable[Ids]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields prediction and truth of each frame, checked to belong together."""
    for frame, (prediction, truth) in enumerate(itertools.zip_longest(predictions, truths)):
        if prediction is None or truth is None:
            short, long = ("prediction", "truth") if prediction is None else ("truth", "prediction")
            raise InputError(
                f"the {short} has {frame} frames, the {long} more: give masks of the same frames"
            )
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        _check_pair(prediction, truth, f"frame {frame}: ")
        yield prediction, truth


def _check_pair(prediction: np.ndarray, truth: np.ndarray, where: str = "") -> None:
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise InputError(
            f"{where}the prediction's shape is {prediction.shape}, the truth's {truth.shape}: "
            "give two masks (height, width) of one size"
        )


def _window(mask: Mask) -> tuple[slice, slice]:
    """Returns the rows and columns that hold the mask and its contour: empty for an empty mask.

    Far from both masks there is no contour: the window only saves time.
    """
    spans = []
    for axis in (1, 0):
        filled = np.flatnonzero(mask.any(axis=axis))
        # One more on each side: the contour may lie one pixel outside the mask.
        spans.append(slice(max(filled[0] - 1, 0), filled[-1] + 2) if filled.size else slice(0))
    return spans[0], spans[1]


def _match_contours(prediction: Mask, truth: Mask, radius: int) -> float:
    predicted_contour, true_contour = boundary(prediction), boundary(truth)
    predicted, true = np.count_nonzero(predicted_contour), np.count_nonzero(true_contour)
    if not (predicted and true):
        return 1.0 if predicted == true else 0.0
    precision = np.count_nonzero(predicted_contour & _dilate(true_contour, radius)) / predicted
    recall = np.count_nonzero(true_contour & _dilate(predicted_contour, radius)) / true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _dilate(contour: Mask, radius: int) -> Mask:
    """Returns where a pixel of the contour lies within `radius` pixels, Euclidean.

    The picture is one long whole number, a bit for each pixel, which shifts and ORs eight times as
    fast as bytes do. Each row ends in at least `radius` empty bits, so that what is shifted out of
    a row does not reach the next. The disk is taken row by row, from its narrow top and bottom to
    its middle, so each step only widens what the step before has spread sideways.
    """
    height, width = contour.shape
    row_bytes = (width + radius + 7) // 8
    rows = np.zeros((height, row_bytes), np.uint8)
    packed = np.packbits(contour, axis=1, bitorder="little")
    rows[:, : packed.shape[1]] = packed
    spread = int.from_bytes(rows.tobytes(), "little")
    dilated = reach = 0
    for offset in range(radius, -1, -1):
        wanted = math.isqrt(radius**2 - offset**2)
        while reach < wanted:
            # What is `reach` wide on both sides may jump by its whole width and leaves no gap.
            step = min(wanted - reach, 2 * reach + 1)
            spread |= spread << step | spread >> step
            reach += step
        shift = offset * row_bytes * 8
        dilated |= spread << shift | spread >> shift
    # What was shifted below the last row is cut off.
    dilated &= (1 << rows.size * 8) - 1
    rows = np.frombuffer(dilated.to_bytes(rows.size, "little"), np.uint8).reshape(rows.shape)
    return np.unpackbits(rows, axis=1, count=width, bitorder="little").view(bool)
