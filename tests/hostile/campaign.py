"""Runs the campaign: `python -m tests.hostile --inputs 100000 --seed 0`.

A failure is printed with the words that run it alone:
`python -m tests.hostile --only masks.soft_edges --seed 17`.
"""

import argparse
import collections
import concurrent.futures
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

from stm_jax.processes import end_with_parent
from tests.hostile.attempt import judge
from tests.hostile.kinds import GENERATORS, inputs

AT_ONCE = 50  # inputs that a process is given
BATCHES = 40  # that a process lives for: libraries keep something of each input

Job = tuple[str, int]


def judged(job: Job) -> tuple[Job, str | None, float]:
    """Returns the job, what is wrong with what came of it, and how long that took."""
    begun = time.perf_counter()
    logging.disable(logging.CRITICAL)  # what is skipped is told by logging
    wrong = judge(GENERATORS[job[0]], *job)
    return job, wrong, time.perf_counter() - begun


def all_judged(jobs: list[Job]) -> list[tuple[Job, str | None, float]]:
    return [judged(job) for job in jobs]


def in_processes(jobs: list[Job], workers: int) -> Iterator[tuple[Job, str | None, float]]:
    """Yields what `judged` returns of every job, from several processes."""
    batches = [jobs[i : i + AT_ONCE] for i in range(0, len(jobs), AT_ONCE)]
    context = multiprocessing.get_context("spawn")
    for first in range(0, len(batches), BATCHES * workers):
        some = batches[first : first + BATCHES * workers]
        with concurrent.futures.ProcessPoolExecutor(workers, context, end_with_parent) as pool:
            running = {pool.submit(all_judged, batch): batch for batch in some}
            for done in concurrent.futures.as_completed(running):
                try:
                    yield from done.result()
                except BrokenProcessPool:
                    for job in running[done]:
                        yield job, "its process died, or that of another beside it", 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first of each generator")
    parser.add_argument("--only", default="", help="generators whose names begin so")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--slowest", type=int, default=0, help="tell of so many generators")
    options = parser.parse_args()
    count = 1 if options.only in GENERATORS else options.inputs
    jobs = inputs(count, options.seed, options.only)
    counts, failed = collections.Counter(), collections.Counter()
    seconds: dict[str, float] = collections.defaultdict(float)
    begun = time.perf_counter()
    for (name, seed), wrong, took in in_processes(jobs, min(options.workers, len(jobs))):
        kind = name.partition(".")[0]
        counts[kind] += 1
        seconds[name] += took
        if wrong is not None:
            failed[kind] += 1
            print(f"FAILED --only {name} --seed {seed}: {ascii(wrong)[1:-1]}", flush=True)
    for kind, count in sorted(counts.items()):
        print(f"{kind:>14}: {count:7} inputs, {failed[kind]} failing")
    for name in sorted(seconds, key=seconds.__getitem__, reverse=True)[: options.slowest]:
        print(f"{seconds[name]:8.1f} s  {name}")
    total = time.perf_counter() - begun
    print(f"{'all':>14}: {counts.total():7} inputs, {failed.total()} failing, {total:.0f} s")
    return 1 if failed else 0
