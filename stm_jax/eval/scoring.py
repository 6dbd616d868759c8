"""Scores a folder of predicted masks against a data set, in several processes."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Generator, Sequence

from stm_jax.data.benchmarks import BenchmarkSequence, Protocol
from stm_jax.data.listing import entries
from stm_jax.errors import InputError
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.frame_scores import FrameScores, Task, score_frames
from stm_jax.eval.predictions import NAMED, find_predictions, strangers
from stm_jax.eval.scores import Key, Scores
from stm_jax.eval.youtube_vos import seen_objects
from stm_jax.processes import end_with_parent

FRAMES_A_TASK = 16  # few, so that a single long sequence keeps all processes busy
FRAMES_A_WORKER = 200

Frames = list[tuple[int, FrameScores]]
"""The scored frames of a sequence by their indices, in order."""


def score_predictions(
    predictions: pathlib.Path,
    sequences: Sequence[BenchmarkSequence],
    protocol: Protocol,
    *,
    strict: bool,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Returns J and F of predictions/SEQUENCE/FRAME.png, of every object in every scored frame.

    An object is scored in the frames after the one in which its mask is given. The DAVIS protocols
    leave out the last frame of a sequence, as does `folder`; YouTube-VOS does not. In YouTube-VOS
    and `folder`, frames without a true mask are not scored. Void pixels of the truth are background
    in both masks, as in the official evaluator.

    A file that is missing or cannot be used, or a truth that is not there, makes J and F of all
    objects in its frame 0, ids that are none of the objects are counted, and masks of no frame are
    named; all are told in `problems`. The result does not depend on the number of processes.

    Args:
      predictions: a folder with a folder of PNGs for each sequence.
      sequences: from `benchmark_sequences`.
      protocol: by which they were made.
      strict: whether to stop at the first problem instead.
      workers: processes; 1 starts none. None takes as many as there are cores and as pay: to start
        one takes as long as to score some hundred frames.
      progress: called with the frames done and the frames in all, first with none done.

    Raises:
      InputError: there is nothing to score, no prediction for any sequence, a true mask cannot be
        read or shows an object in none of the scored frames, or masks are numbered from another
        frame on; with `strict`, at any problem.
    """
    if not predictions.is_dir():
        raise InputError(f"{predictions}: no such folder: give the one that holds the masks")
    tasks = _tasks(predictions, sequences, protocol)
    odd = [
        str(problem)
        for sequence in sequences
        for problem in strangers(predictions, sequence.name, [f.stem for f in sequence.frames])
    ]
    if strict and odd:
        raise InputError(odd[0])
    total = sum(len(task.indices) for task in tasks)
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = min(cores or 1, 1 + total // FRAMES_A_WORKER)
    by_sequence: dict[str, Frames] = collections.defaultdict(list)
    done = 0
    progress(done, total)
    with contextlib.closing(_run(tasks, workers)) as batches:
        for task, batch in zip(tasks, batches, strict=True):
            frames = list(zip(task.indices, batch, strict=True))
            problems = _problems(task.sequence, predictions, frames) if strict else []
            if problems:
                raise InputError(problems[0])
            by_sequence[task.sequence.name] += frames
            done += len(frames)
            progress(done, total)
    return _collected(predictions, sequences, protocol, by_sequence, odd)


def _collected(
    predictions: pathlib.Path,
    sequences: Sequence[BenchmarkSequence],
    protocol: Protocol,
    by_sequence: dict[str, Frames],
    odd: Sequence[str],
) -> Scores:
    objects: dict[Key, ObjectScores] = {}
    names: dict[Key, tuple[str, ...]] = {}
    problems = list(odd)
    for sequence in sequences:
        frames = by_sequence[sequence.name]
        lines = _problems(sequence, predictions, frames)
        problems += [line if "background" in line else f"{line}; scored 0" for line in lines]
        for position, object_id in enumerate(sequence.object_ids):
            given = next(index for index, ids in sequence.given.items() if object_id in ids)
            own = [(index, frame) for index, frame in frames if index > given]
            who = f"{sequence.name}: object {object_id}"
            if not own:
                problems.append(
                    f"{who} is in no frame after the one in which it is given; left out"
                )
                continue
            if not any(frame.shown[position] for _, frame in own):
                line = f"{who} is in none of the true masks of the {len(own)} frames to score"
                # There, and only there, an object may be shown but once, where its mask is given.
                if protocol != "youtube-vos":
                    raise InputError(f"{line}: are the masks in Annotations empty?")
                problems.append(f"{line}; left out")
                continue
            objects[sequence.name, object_id] = ObjectScores(
                object_id,
                tuple(frame.j[position] for _, frame in own),
                tuple(frame.f[position] for _, frame in own),
            )
            names[sequence.name, object_id] = tuple(sequence.frames[i].stem for i, _ in own)
    if not objects:
        raise InputError(f"there is no object to score: {problems[0]}")
    seen: dict[Key, bool] = {}
    if protocol == "youtube-vos":
        seen, line = seen_objects(sequences)
        seen = {key: seen[key] for key in objects if key in seen}
        problems += [line] if line else []
    return Scores(protocol, objects, names, tuple(problems), seen)


def _tasks(
    folder: pathlib.Path, sequences: Sequence[BenchmarkSequence], protocol: Protocol
) -> list[Task]:
    """Returns the work, having checked that there is any."""
    some = ", ".join(sequence.name for sequence in sequences[:3])
    some += ", ..." if len(sequences) > 3 else ""
    there = {path.name.lower() for path in entries(folder)}
    if there.isdisjoint(sequence.name.lower() for sequence in sequences):
        raise InputError(
            f"{folder} holds none of the sequences ({some}): give the folder in which each has"
            " a folder of masks"
        )
    tasks, any_truth = [], False
    for sequence in sequences:
        later = _later(sequence, protocol)
        known = [index for index in later if sequence.truths[index] is not None]
        any_truth |= bool(known)
        # DAVIS has a true mask of every frame.
        indices = known if known and protocol in ("youtube-vos", "folder") else later
        if not indices:
            raise InputError(
                f"{sequence.name} has {len(sequence.frames)} frames, too few to score: those that"
                " are given are left out, and the last one"
            )
        found = find_predictions(folder, sequence.name, [sequence.frames[i].stem for i in indices])
        for begin in range(0, len(indices), FRAMES_A_TASK):
            part = slice(begin, begin + FRAMES_A_TASK)
            tasks.append(Task(sequence, tuple(indices[part]), found[part]))
    if not any_truth:
        raise InputError(
            f"there are no true masks but those that are given ({some}): nothing can be scored here"
        )
    return tasks


def _later(sequence: BenchmarkSequence, protocol: Protocol) -> list[int]:
    """Returns the wanted frames after the first that is given, without the last one of DAVIS."""
    end = len(sequence.frames) - (protocol != "youtube-vos")
    return [index for index in sequence.wanted if min(sequence.given) < index < end]


def _run(tasks: Sequence[Task], workers: int) -> Generator[list[FrameScores]]:
    """Yields the result of each task, in order."""
    if workers <= 1:
        yield from map(score_frames, tasks)
        return
    # Spawned: a fork would copy locks that threads of JAX may hold.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=end_with_parent
    )
    try:
        yield from pool.map(score_frames, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _problems(sequence: BenchmarkSequence, folder: pathlib.Path, frames: Frames) -> list[str]:
    """Returns a line for each kind of problem in frames of a sequence, naming the first file."""
    kinds: dict[str, list[str]] = {}
    for _, frame in frames:
        if frame.problem:
            paths = kinds.setdefault(frame.problem.text, [])
            if frame.problem.path not in paths:
                paths.append(frame.problem.path)
    lines = [f"{_some(paths)}: {text}" for text, paths in kinds.items()]
    extra = [(index, frame.extra) for index, frame in frames if frame.extra]
    if extra:
        ids = sorted({object_id for _, counts in extra for object_id, _ in counts})
        pixels = sum(count for _, counts in extra for _, count in counts)
        stems = [sequence.frames[index].stem for index, _ in extra]
        paths = [str(folder / sequence.name / f"{stem}.png") for stem in stems]
        lines.append(
            f"{_some(paths)}: {pixels} pixels of {', '.join(map(str, ids))}, none of the objects"
            f" ({', '.join(map(str, sequence.object_ids))}): counted as background"
        )
    return lines


def _some(paths: Sequence[str]) -> str:
    """Returns the first path and the names of those beside it, but no endless line."""
    names = [paths[0], *(pathlib.PurePath(path).name for path in paths[1:NAMED])]
    return ", ".join(names) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
