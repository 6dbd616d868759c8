"""Scores a folder of predicted masks against a data set, in several processes."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Generator, Sequence

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.listing import entries
from stm_jax.data.protocols import RULES, Protocol
from stm_jax.errors import InputError
from stm_jax.eval import burst, lvos, youtube_vos
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.frame_scores import FrameScores, Task, score_frames
from stm_jax.eval.keys import Key
from stm_jax.eval.predictions import NAMED, find_predictions, strangers
from stm_jax.eval.scores import Scores
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

    An object is scored in the frames after the one in which its mask is given, those and void
    pixels as the benchmark's evaluator has them: `stm_jax.data.protocols` says what differs.

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
    rules = RULES[protocol]
    for sequence in sequences:
        frames, scored = by_sequence[sequence.name], scored_frames(sequence, protocol)
        lines = _problems(sequence, predictions, frames)
        problems += [line if "background" in line else f"{line}; scored 0" for line in lines]
        for position, object_id in enumerate(sequence.object_ids):
            wanted = set(scored[object_id])
            own = [(index, frame) for index, frame in frames if index in wanted]
            who = f"{sequence.name}: object {object_id}"
            if not own:
                problems.append(
                    f"{who} is in no frame after the one in which it is given; left out"
                )
                continue
            vanished = not any(frame.shown[position] for _, frame in own)
            if vanished and rules.vanished != "scored":
                line = f"{who} is in none of the true masks of the {len(own)} frames to score"
                if rules.vanished == "refused":
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
    tracking: dict[str, float] = {}
    line = None
    if protocol == "youtube-vos":
        seen, line = youtube_vos.seen_objects(sequences)
    elif protocol == "lvos":
        seen, line = lvos.seen_objects(sequences)
    elif protocol == "burst":
        tracking, line = burst.tracking(sequences, by_sequence)
    seen = {key: seen[key] for key in objects if key in seen}
    problems += [line] if line else []
    return Scores(protocol, objects, names, tuple(problems), seen, tracking)


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
        scored = {i for own in scored_frames(sequence, protocol).values() for i in own}
        any_truth |= any(sequence.truths[index] is not None for index in scored)
        # Tracks are followed from the masks on that are given.
        tracked = sequence.wanted if protocol == "burst" else ()
        indices = sorted(scored.union(tracked))
        if not indices:
            raise InputError(
                f"{sequence.name} has {len(sequence.frames)} frames, too few to score: those that"
                " are given are left out, and the last one"
            )
        found = find_predictions(folder, sequence.name, [sequence.frames[i].stem for i in indices])
        for begin in range(0, len(indices), FRAMES_A_TASK):
            part = slice(begin, begin + FRAMES_A_TASK)
            tasks.append(Task(sequence, tuple(indices[part]), found[part], protocol))
    if not any_truth:
        raise InputError(
            f"there are no true masks but those that are given ({some}): nothing can be scored here"
        )
    return tasks


def scored_frames(sequence: BenchmarkSequence, protocol: Protocol) -> dict[int, tuple[int, ...]]:
    """Returns the frames in which each object is scored, by index, in order."""
    rules, begin = RULES[protocol], min(sequence.given)
    later = [index for index in sequence.wanted if index > begin]
    known = [index for index in later if sequence.truths[index] is not None]
    frames = known if rules.sparse and known else later
    end = {
        "frame": len(sequence.frames) - 1,
        "mask": max(known, default=len(sequence.frames) - 1),
        "nothing": len(sequence.frames),
    }[rules.left_out]
    scored = {
        object_id: tuple(i for i in frames if index < i < end)
        for index, ids in sequence.given.items()
        for object_id in ids
    }
    there = set(frames)
    return scored | {
        object_id: tuple(i for i in own if i in there) for object_id, own in sequence.scored.items()
    }


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
