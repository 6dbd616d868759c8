"""Segments sequences of a data set: read ahead, segment, write behind, on one or more devices."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import Program, videos_side_by_side
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.image_files import read_rgb
from stm_jax.errors import InputError
from stm_jax.runtime.beside import ahead, behind

if TYPE_CHECKING:
    from stm_jax.infer.averaged import AveragedSegmenter
    from stm_jax.infer.batch import Batch
    from stm_jax.infer.segmenter import Segmenter

    AnySegmenter = Segmenter | AveragedSegmenter

Job = tuple[BenchmarkSequence, Program]


class Stopped(Exception):
    """The user asked to stop; sequences that are done are kept."""


@dataclasses.dataclass(frozen=True)
class Worked:
    """What was done.

    Attributes:
        summaries: Of the sequences.
        frames: How many frames the network saw in batches ...
        padded: ... and how many more that were padding.
    """

    summaries: list[dict[str, Any]]
    frames: int = 0
    padded: int = 0


def segment_side_by_side(
    jobs: Sequence[Job],
    videos: int,
    devices: int,
    batch_of: Callable[[int], "Batch"],
    folder: BenchmarkFolder,
    after_frame: Callable[[BenchmarkSequence], None],
    stop_asked: Callable[[], bool],
) -> Worked:
    """Segments the sequences, those of one program side by side, the longest first.

    Args:
        jobs: As in `segment_all`; those that share a program follow one another.
        videos: How many go side by side at most.
        devices: That they are shared out over.
        batch_of: Makes places for so many.
        folder: As in `segment_all`, and so are the other arguments and errors.
        after_frame: As there.
        stop_asked: As there.
    """
    summaries, frames, padded = [], 0, 0
    for _, sharing in itertools.groupby(jobs, key=lambda job: job[1]):
        longest_first = sorted(sharing, key=lambda job: -_steps(job[0]))
        count = videos_side_by_side([_steps(each) for each, _ in longest_first], videos, devices)
        batch = batch_of(count)
        summaries += segment_all(longest_first, batch.segmenters, folder, after_frame, stop_asked)
        frames, padded = frames + batch.frames, padded + batch.padded
    return Worked(summaries, frames, padded)


def _steps(sequence: BenchmarkSequence) -> int:
    """Returns how many frames the network sees: those after the first given mask."""
    return len(sequence.frames) - 1 - min(sequence.given)


def segment_all(
    jobs: Sequence[Job],
    segmenters: Sequence[contextlib.AbstractContextManager["AnySegmenter"]],
    folder: BenchmarkFolder,
    after_frame: Callable[[BenchmarkSequence], None],
    stop_asked: Callable[[], bool],
) -> list[dict[str, Any]]:
    """Segments the sequences, each segmenter taking the next as soon as it is free.

    Args:
        jobs: Sequences, each with the program that it shares.
        segmenters: One a device, or one for each video of a batch; each worked by a thread of its
            own if there are several.
        folder: Where the results go.
        after_frame: Called after each frame, by one thread at a time.
        stop_asked: Whether to stop after this frame.

    Returns:
        The summaries of the sequences.

    Raises:
        Stopped: `stop_asked` said so.
        InputError: A frame or a mask cannot be used. The other devices stop after their frame.
    """
    waiting, summaries = collections.deque(jobs), []
    lock, failed = threading.Lock(), threading.Event()

    def tick(sequence: BenchmarkSequence) -> None:
        with lock:
            after_frame(sequence)
        if stop_asked() or failed.is_set():
            raise Stopped

    def work(place: contextlib.AbstractContextManager["AnySegmenter"]) -> None:
        with place as segmenter:
            while True:
                try:
                    sequence, program = waiting.popleft()
                except IndexError:
                    return
                try:
                    summaries.append(segment_sequence(sequence, program, segmenter, folder, tick))
                except BaseException:
                    failed.set()
                    raise

    if len(segmenters) == 1:
        work(segmenters[0])
        return summaries
    with concurrent.futures.ThreadPoolExecutor(len(segmenters)) as pool:
        results = [pool.submit(work, segmenter) for segmenter in segmenters]
        concurrent.futures.wait(results)
    errors = [error for result in results if (error := result.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error  # what made the others stop comes first
    return summaries


def segment_sequence(
    sequence: BenchmarkSequence,
    program: Program,
    segmenter: "AnySegmenter",
    folder: BenchmarkFolder,
    after_frame: Callable[[BenchmarkSequence], None],
) -> dict[str, Any]:
    """Segments one sequence and writes the wanted masks; its summary, written last, is returned.

    Frames before the first given mask are background. Objects given later are added where their
    mask is given.
    """
    from stm_jax.runtime.compile_watch import watch_compilation

    def write(index: int, ids: UInt8[np.ndarray, "height width"]) -> None:
        folder.write_mask(sequence, index, ids)

    folder.clear_sequence(sequence)
    begun, segmenting, waited = time.perf_counter(), 0.0, segmenter.waited
    first = min(sequence.given)
    kept: set[int] = set()
    memorized, dropped, size = [], [], (0, 0)
    wanted = frozenset(sequence.wanted)
    with (
        contextlib.closing(ahead(map(read_rgb, sequence.frames))) as frames,
        behind(write) as write_later,
        watch_compilation() as compilation,
    ):
        for index, frame in enumerate(frames):
            size = frame.shape[:2]
            given = sequence.given_mask(index) if index in sequence.given else None
            asked = time.perf_counter()
            with _naming(sequence.frames[index]):
                if index < first:
                    ids = np.zeros(size, np.uint8)
                else:
                    ids = follow(segmenter, program, frame, given, begins=index == first)
            segmenting += time.perf_counter() - asked
            if index >= first:
                now = {first + number for number in segmenter.kept_frames}
                memorized += sorted(now - kept)
                dropped += [[number, index] for number in sorted(kept - now)]
                kept = now
            if index in wanted:
                write_later(index, ids)
            after_frame(sequence)
    segmenting -= compilation.seconds + segmenter.waited - waited
    summary = {
        "frames": len(sequence.frames),
        "objects": list(sequence.object_ids),
        "height": size[0],
        "width": size[1],
        "seconds": round(time.perf_counter() - begun, 3),
        "segment_seconds": round(max(segmenting, 0.0), 3),
        "compile_seconds": round(compilation.seconds, 3),
        "compiles": compilation.programs,
        "memorized": memorized,
        "dropped": dropped,
        "memory_bytes": segmenter.memory_bytes,
    }
    folder.finish_sequence(sequence, summary)
    return summary


def follow(
    segmenter: "AnySegmenter",
    program: Program,
    frame: UInt8[np.ndarray, "h w 3"],
    given: UInt8[np.ndarray, "h w"] | None,
    *,
    begins: bool,
) -> UInt8[np.ndarray, "h w"]:
    """Gives the next frame to a segmenter, with the mask that is given there; returns its ids.

    Args:
        segmenter: Of the stream.
        program: What the stream is begun with.
        frame: Of the sequence.
        given: The mask of the objects that begin here; None where none do.
        begins: Whether the stream begins here.
    """
    if begins:
        assert given is not None
        return segmenter.start(frame, given, length=program.length, objects=program.objects)
    if given is not None:
        return segmenter.add_objects(frame, given)
    return segmenter.step(frame)


@contextlib.contextmanager
def _naming(file: pathlib.Path) -> Iterator[None]:
    """Says which frame it was that the segmenter refused."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
