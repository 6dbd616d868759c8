"""Sequences of `stm-jax benchmark-dataset` as tasks of a Dask cluster."""

import concurrent.futures
import dataclasses
import functools
import itertools
import json
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.work import Job, Stopped, Worked
from stm_jax.commands.shared.options import LoadedModel
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.errors import InputError
from stm_jax.study.engine import SECONDS_A_LOOK, cluster, result_of

if TYPE_CHECKING:
    from stm_jax.commands.benchmark_dataset import BenchmarkDataset

FILLINGS = 4
"""With videos side by side, a task has so many times as many: those that end make room."""
_one_at_a_time = threading.Lock()
"""Of the threads of a worker: times are of one task."""


def segment_elsewhere(
    command: "BenchmarkDataset",
    jobs: Sequence[Job],
    settings: Mapping[str, Any],
    after_frame: Callable[[BenchmarkSequence], None],
    stop_asked: Callable[[], bool],
) -> Worked:
    """Lets the workers of a cluster segment sequences, one at a time or a few of one program.

    Args:
        command: As it was given, with the address of the scheduler.
        jobs: Sequences, each with its program.
        settings: What the masks depend on.
        after_frame: Called for each frame, once its sequence is done.
        stop_asked: Whether to stop. What a worker has begun it ends, in the command's folder.

    Raises:
        Stopped: `stop_asked` said so.
        InputError: There is no cluster, it is gone, or a sequence cannot be segmented.
    """
    assert command.scheduler is not None
    sent, done = _for_workers(command), []
    with cluster(command.scheduler) as executor:
        running = {}
        for task in _tasks(jobs, 1 if command.videos == 1 else FILLINGS * command.videos):
            names = tuple(sequence.name for sequence in task)
            future = executor.submit(segment_here, sent, json.dumps(settings), names)
            running[future] = task
        while running:
            finished, _ = concurrent.futures.wait(
                running, SECONDS_A_LOOK, concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                result = result_of(future)
                if "failed" in result:
                    raise InputError(result["failed"])
                done.append(Worked(**result))
                for sequence in running.pop(future):
                    for _ in sequence.frames:
                        after_frame(sequence)
            if stop_asked():
                raise Stopped
    summaries = [summary for each in done for summary in each.summaries]
    return Worked(summaries, sum(each.frames for each in done), sum(each.padded for each in done))


def segment_here(
    command: "BenchmarkDataset", settings: str, names: Sequence[str]
) -> dict[str, Any]:
    """Segments sequences of one program, as a task, into the command's folder.

    Args:
        command: As it was given elsewhere; its files have the same names here.
        settings: What the masks depend on, as JSON: it must be the same here.
        names: Of the sequences.

    Returns:
        The fields of `Worked`, or {"failed": why} if that cannot be.
    """
    with _one_at_a_time:
        try:
            (sequences, programs), model = _prepared(command)
            if json.dumps(command.settings(model, sequences)) != settings:
                raise InputError(
                    "a worker has another stm_jax, data or weights than this machine: have the"
                    " same everywhere, and start the workers again"
                )
            folder = BenchmarkFolder(command.results.out, {}, {})
            mine = [each for each in sequences if each.name in names]
            # Those that a worker was lost with half way are not begun again.
            found = {each.name: folder.summary_of(each) for each in mine}
            jobs = [(each, programs[each.name]) for each in mine if found[each.name] is None]
            work = Worked([])
            if jobs:
                work = command.worked(model, jobs, folder, lambda _: None, lambda: False)
            done = [summary for summary in found.values() if summary is not None]
        except InputError as error:
            return {"failed": str(error)}
    return dataclasses.asdict(dataclasses.replace(work, summaries=done + work.summaries))


@functools.lru_cache(maxsize=1)
def _prepared(command: "BenchmarkDataset") -> tuple[Any, LoadedModel]:
    return command.planned(), command.model.load()


def _tasks(jobs: Sequence[Job], at_a_time: int) -> list[list[BenchmarkSequence]]:
    """Returns the sequences, so many of one program at a time."""
    tasks = []
    for _, sharing in itertools.groupby(jobs, key=lambda job: job[1]):
        same = [sequence for sequence, _ in sharing]
        tasks += [same[i : i + at_a_time] for i in range(0, len(same), at_a_time)]
    return tasks


def _for_workers(command: "BenchmarkDataset") -> "BenchmarkDataset":
    """Returns the command with names of files that mean the same in any folder."""
    data = dataclasses.replace(command.data, root=command.data.root.resolve())
    results = dataclasses.replace(command.results, out=command.results.out.resolve())
    weights, model = pathlib.Path(command.model.weights), command.model
    if weights.exists():
        model = dataclasses.replace(model, weights=str(weights.resolve()))
    return dataclasses.replace(command, data=data, results=results, model=model)
