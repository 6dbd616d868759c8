"""Measures the scoring of masks on disk, and of a plain implementation beside it.

    python tools/speed/scoring.py --objects 3 5 --rounds 5

Masks are 854x480 with several moving objects. Timed is the reading of the PNGs and J and F of all
objects, on two processes with their start. The plain implementation goes frame by frame and object
by object over whole pictures; as it is slow it gets the first sequence only, and all times are
per frame. They take turns; printed is the median over the rounds with [least, most], on the clock
and on the CPU. Where other programs use the cores, only the CPU's can be trusted.
"""

import dataclasses
import functools
import math
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tyro
from PIL import Image
from turns import interleave, ratio, times

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.masks import write_mask
from stm_jax.eval.scoring import score_predictions

HEIGHT, WIDTH = 480, 854
FRAMES = 20
SEQUENCES = 40


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    objects: tuple[int, ...] = (3, 5)
    rounds: int = 5


def moving_objects(count: int, frame: int) -> np.ndarray:
    """Returns ids (480, 854) uint8 of wobbling stars that walk around; later ones cover others."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in range(count):
        turn = 2 * math.pi * (number / count + frame / 60)
        down = rows - HEIGHT / 2 - 0.28 * HEIGHT * math.sin(turn + number)
        right = columns - WIDTH / 2 - 0.3 * WIDTH * math.cos(turn)
        wobble = 1 + 0.25 * np.sin(5 * np.arctan2(down, right) + frame / 4 + number)
        ids[np.hypot(down, right) < (60 + 12 * number) * wobble] = number + 1
    return ids


def write_sequences(
    folder: pathlib.Path, objects: int
) -> tuple[pathlib.Path, tuple[BenchmarkSequence, ...]]:
    """Writes predictions and truth, the same pictures for every sequence, and returns where."""
    predictions, masks = folder / "predictions", folder / "Annotations"
    names = [f"stars{number}" for number in range(SEQUENCES)]
    for place in (predictions, masks):
        (place / names[0]).mkdir(parents=True)
    for frame in range(FRAMES):
        truth = moving_objects(objects, frame)
        write_mask(masks / names[0] / f"{frame:05d}.png", truth)
        # Some pixels off, with dust.
        predicted = np.roll(truth, (frame % 7, 5), (0, 1))
        predicted[frame::97, ::89] = 1
        write_mask(predictions / names[0] / f"{frame:05d}.png", predicted)
    sequences = []
    for name in names:
        for place in (predictions, masks):
            if name != names[0]:
                shutil.copytree(place / names[0], place / name)
        paths = tuple(sorted((masks / name).glob("*.png")))
        given = {0: tuple(range(1, objects + 1))}
        sequences.append(BenchmarkSequence(name, paths, paths, given, tuple(range(FRAMES))))
    return predictions, tuple(sequences)


def score_plainly(
    predictions: pathlib.Path, sequence: BenchmarkSequence
) -> list[list[tuple[float, float]]]:
    """Returns J and F of each object in each scored frame, in the plainest NumPy.

    Frame by frame and object by object on whole pictures; a contour is dilated by OR-ing it, once
    for each pixel of the disk, into its place there.
    """
    values = []
    for truth_path in sequence.frames[1:-1]:
        truth = np.array(Image.open(truth_path))
        prediction = np.array(Image.open(predictions / sequence.name / truth_path.name))
        masks = [(prediction == i, truth == i) for i in sequence.object_ids]
        values.append([(_jaccard(*pair), _contour_f(*pair)) for pair in masks])
    return values


def _jaccard(prediction: np.ndarray, truth: np.ndarray) -> float:
    union = np.sum(prediction | truth)
    return np.sum(prediction & truth) / union if union else 1.0


def _contour_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    predicted, true = _contour(prediction), _contour(truth)
    if not (predicted.any() and true.any()):
        return float(predicted.any() == true.any())
    precision = np.sum(predicted & _dilated(true, radius)) / np.sum(predicted)
    recall = np.sum(true & _dilated(predicted, radius)) / np.sum(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _contour(mask: np.ndarray) -> np.ndarray:
    right, below, corner = (np.copy(mask) for _ in range(3))
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    corner[:-1, :-1] = mask[1:, 1:]
    contour = mask ^ right | mask ^ below | mask ^ corner
    contour[-1] = mask[-1] ^ right[-1]
    contour[:, -1] = mask[:, -1] ^ below[:, -1]
    contour[-1, -1] = False
    return contour


def _dilated(contour: np.ndarray, radius: int) -> np.ndarray:
    height, width = contour.shape
    padded = np.pad(contour, radius)
    dilated = np.zeros_like(contour)
    for down in range(2 * radius + 1):
        for right in range(2 * radius + 1):
            if (down - radius) ** 2 + (right - radius) ** 2 <= radius**2:
                dilated |= padded[down : down + height, right : right + width]
    return dilated


def main(options: Options) -> None:
    """Prints, for each number of objects, times and ratios."""
    for objects in options.objects:
        with tempfile.TemporaryDirectory() as folder:
            predictions, sequences = write_sequences(pathlib.Path(folder), objects)
            compare(predictions, sequences, options.rounds)


def compare(
    predictions: pathlib.Path, sequences: tuple[BenchmarkSequence, ...], rounds: int
) -> None:
    ours = functools.partial(score_predictions, predictions, sequences, "davis2017", strict=True)
    calls: dict[str, Callable[[], Any]] = {
        "plain": lambda: score_plainly(predictions, sequences[0]),
        "ours, 1 process": functools.partial(ours, workers=1),
        "ours, 2 processes": functools.partial(ours, workers=2),
    }
    plain = np.array(calls["plain"]())  # (frames, objects, 2)
    first = [s for key, s in ours(workers=1).objects.items() if key[0] == sequences[0].name]
    found = np.array([[each.j, each.f] for each in first])  # (objects, 2, frames)
    difference = np.abs(plain - found.transpose(2, 0, 1)).max()
    print(
        f"{WIDTH}x{HEIGHT}, {len(first)} objects, {len(sequences)} sequences of {len(plain)} scored"
        f" frames: the values of the two differ by at most {difference:.1e}"
    )
    seconds = interleave(calls, rounds)
    frames = {who: len(plain) * (1 if who == "plain" else len(sequences)) for who in calls}
    each = {who: seconds[who] / frames[who] for who in calls}
    for who, seconds_a_frame in each.items():
        print(f"  {who:17} {times(seconds_a_frame, '.2f')}")
    for who in list(calls)[1:]:
        told = ratio(each["plain"], each[who], ".1f")
        print(f"  time(plain) / time({who}): {told}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
