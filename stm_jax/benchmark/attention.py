"""Where the worst frames of a data set looked: heat maps for the report page."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import Image

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import Program
from stm_jax.benchmark.work import follow
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.image_files import read_rgb, write_png
from stm_jax.errors import InputError
from stm_jax.eval.scores import Scores
from stm_jax.runtime.progress import FrameProgress

if TYPE_CHECKING:
    from stm_jax.infer.segmenter import Segmenter


class Place(NamedTuple):
    """Where a read is looked at.

    Attributes:
        frame: Index in the sequence.
        object_id: Whose memory is read.
        pixel: Row and column.
    """

    frame: int
    object_id: int
    pixel: tuple[int, int]


def draw_attention(
    scores: Scores,
    sequences: Sequence[BenchmarkSequence],
    programs: Mapping[str, Program],
    segmenter: "Segmenter",
    folder: BenchmarkFolder,
    count: int,
) -> None:
    """Draws where the worst frame of each of the sequences with the lowest J looked.

    They are segmented again up to that frame. A sequence that has its picture is left out.

    Args:
        scores: Of all sequences.
        sequences: Those that were scored.
        programs: What each is begun with.
        segmenter: As they were segmented with.
        folder: Gets a picture of each, attention/SEQUENCE.png.
        count: How many sequences.
    """
    worst = sorted(scores.sequences, key=lambda name: scores.sequences[name].j.mean)[:count]
    jobs = []
    for sequence in sequences:
        if sequence.name in worst and not folder.attention_of(sequence).exists():
            place = worst_place(sequence, scores)
            jobs += [(sequence, place)] if place else []
    frames = 0
    with FrameProgress(sum(1 + place.frame - min(each.given) for each, place in jobs)) as progress:
        for sequence, place in jobs:

            def tick(name: str = sequence.name) -> None:
                nonlocal frames
                frames += 1
                progress.update(frames, segmented=True, label=f"heat maps, {name}: ")

            try:
                sheet = _sheet(sequence, programs[sequence.name], segmenter, place, tick)
            except InputError as error:  # a memory without whole frames
                progress.say(f"no heat maps: {error}")
                return
            path = folder.attention_of(sequence)
            path.parent.mkdir(exist_ok=True)
            write_png(path, sheet)


def worst_place(sequence: BenchmarkSequence, scores: Scores) -> Place | None:
    """Returns the frame and object with the lowest J of those that are to be seen, and its middle.

    None if no object is to be seen in a scored frame.
    """
    index_of = {frame.stem: index for index, frame in enumerate(sequence.frames)}
    found = sorted(
        (j, index_of[name], key[1])
        for key, values in scores.objects.items()
        if key[0] == sequence.name
        for name, j in zip(scores.frames[key], values.j, strict=True)
    )
    for _, frame, object_id in found:
        pixel = middle_of(sequence.truth(frame) == object_id)
        if pixel is not None:
            return Place(frame, object_id, pixel)
    return None


def middle_of(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int] | None:
    """Returns row and column of the mask's pixel nearest to its centre; None if it is empty."""
    pixels = np.argwhere(mask)
    if not len(pixels):
        return None
    row, column = pixels[np.square(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()]
    return int(row), int(column)


def _sheet(
    sequence: BenchmarkSequence,
    program: Program,
    segmenter: "Segmenter",
    place: Place,
    tick: Callable[[], None],
) -> Image.Image:
    """Segments up to a frame and draws where it looks."""
    from stm_jax.report.heat import Sheet

    first, attention, shape = min(sequence.given), None, (0, 0)
    packed: dict[int, bytes] = {}  # all masks, for which are drawn is known at the end
    for index in range(first, place.frame + 1):
        frame = read_rgb(sequence.frames[index])
        if index in (first + 1, place.frame):  # first + 1: what cannot be shown is told at once
            attention = segmenter.look(frame, *place.pixel)
        given = sequence.given_mask(index) if index in sequence.given else None
        ids = follow(segmenter, program, frame, given, begins=index == first)
        packed[index], shape = zlib.compress(ids.tobytes()), ids.shape
        tick()
    assert attention is not None
    # Numbers of the stream, which begins with the first given mask, become those of the sequence.
    numbers = np.where(attention.frame_numbers >= 0, first + attention.frame_numbers, -1)
    drawn = {*numbers[numbers >= 0].tolist(), place.frame}
    return Sheet(
        attention=dataclasses.replace(attention, frame_numbers=numbers),
        index=segmenter.object_ids.index(place.object_id),
        object_id=place.object_id,
        pixel=place.pixel,
        frame_number=place.frame,
        pictures={i: read_rgb(sequence.frames[i]) for i in drawn},
        ids={i: np.frombuffer(zlib.decompress(packed[i]), np.uint8).reshape(shape) for i in drawn},
    ).draw()
