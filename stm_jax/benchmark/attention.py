"""Where the worst frames of a data set looked: heat maps for the report page."""

import dataclasses
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import Program
from stm_jax.benchmark.work import follow
from stm_jax.checks import shown
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.image_files import read_rgb, write_png
from stm_jax.errors import InputError
from stm_jax.eval.scores import Scores
from stm_jax.files import is_whole_png
from stm_jax.runtime.progress import FrameProgress

if TYPE_CHECKING:
    from stm_jax.infer.attention import Attention
    from stm_jax.infer.segmenter import Segmenter

Frame = UInt8[np.ndarray, "height width 3"]
Ids = UInt8[np.ndarray, "height width"]


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
        if sequence.name in worst and not is_whole_png(folder.attention_of(sequence)):
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


def look_up_to(
    frames: Callable[[], Iterator[Frame]],
    answer: Callable[[int, Frame], Ids],
    segmenter: "Segmenter",
    number: int,
    pixel: tuple[int, int],
    first: int = 0,
) -> "tuple[Attention, dict[int, Frame], dict[int, Ids]]":
    """Segments up to a frame, and looks where its read goes at a pixel.

    Args:
        frames: Gives the frames of a video; called twice.
        answer: Has the segmenter answer the next frame, which has this number.
        segmenter: Whose stream that is.
        number: Which frame.
        pixel: Row and column in it.
        first: The number of the stream's first frame; those before it are left out.

    Returns:
        Where it looks, by the numbers of the frames, and the frames and masks that are drawn, by
        number.

    Raises:
        InputError: A frame cannot be used, there is no such frame, or the memory has no frames.
    """
    packed: dict[int, bytes] = {}  # all masks, for which are drawn is known at the end
    found = None
    for index, frame in itertools.islice(enumerate(frames()), first, number + 1):
        if index in (first + 1, number):  # first + 1: what cannot be shown is told at once
            found = segmenter.look(frame, *pixel)
        packed[index] = zlib.compress(answer(index, frame).tobytes())
    if found is None or number not in packed:
        raise no_such_frame(number, first + len(packed) - 1)
    # Numbers of the stream become those of the video.
    numbers = np.where(found.frame_numbers >= 0, first + found.frame_numbers, -1)
    drawn = {*numbers.tolist(), number}
    pictures = {
        index: frame
        for index, frame in itertools.islice(enumerate(frames()), number + 1)
        if index in drawn
    }
    masks = {
        index: np.frombuffer(zlib.decompress(packed[index]), np.uint8).reshape(frame.shape[:2])
        for index, frame in pictures.items()
    }
    return dataclasses.replace(found, frame_numbers=numbers), pictures, masks


def no_such_frame(number: int, last: int) -> InputError:
    """Returns the error that tells of it."""
    return InputError(f"there is no frame {shown(number)}: the last is frame {last}")


def _sheet(
    sequence: BenchmarkSequence,
    program: Program,
    segmenter: "Segmenter",
    place: Place,
    tick: Callable[[], None],
) -> Image.Image:
    """Segments up to a frame and draws where it looks."""
    from stm_jax.report.heat import Sheet

    first = min(sequence.given)

    def answer(index: int, frame: Frame) -> Ids:
        given = sequence.given_mask(index) if index in sequence.given else None
        ids = follow(segmenter, program, frame, given, begins=index == first)
        tick()
        return ids

    def frames() -> Iterator[Frame]:
        return map(read_rgb, sequence.frames)

    looked = look_up_to(frames, answer, segmenter, place.frame, place.pixel, first)
    attention, pictures, ids = looked
    index = segmenter.object_ids.index(place.object_id)
    return Sheet(attention, index, place.object_id, place.pixel, place.frame, pictures, ids).draw()
