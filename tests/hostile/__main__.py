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
import sys
import time
from concurrent.futures.process import BrokenProcessPool

from stm_jax.processes import end_with_parent
from tests.hostile.attempt import judge
from tests.hostile.kinds import GENERATORS, inputs

AT_ONCE = 50  # inputs that a process is given


def judged(name: str, seed: int) -> tuple[str | None, float]:
    begun = time.perf_counter()
    logging.disable(logging.CRITICAL)  # what is skipped is told by logging
    wrong = judge(GENERATORS[name], name, seed)
    return wrong, time.perf_counter() - begun


def all_judged(batch: list[tuple[str, int]]) -> list[tuple[str | None, float]]:
    return [judged(*each) for each in batch]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first of each generator")
    parser.add_argument("--only", default="", help="generators whose names begin so")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--slowest", type=int, default=0, help="tell of so many generators")
    options = parser.parse_args()
    chosen = [each for each in GENERATORS if each.startswith(options.only)]
    if options.only in GENERATORS:
        jobs = [(options.only, options.seed)]
    else:
        all_jobs = inputs(options.inputs * len(GENERATORS) // max(1, len(chosen)), options.seed)
        jobs = [job for job in all_jobs if job[0] in chosen][: options.inputs]
    batches = [jobs[i : i + AT_ONCE] for i in range(0, len(jobs), AT_ONCE)]
    counts, failed = collections.Counter(), collections.Counter()
    seconds: dict[str, float] = collections.defaultdict(float)
    begun = time.perf_counter()

    def tell(name: str, seed: int, wrong: str) -> None:
        failed[name.partition(".")[0]] += 1
        print(f"FAILED --only {name} --seed {seed}: {ascii(wrong)[1:-1]}", flush=True)

    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        options.workers, context, end_with_parent, max_tasks_per_child=20
    ) as pool:
        running = {pool.submit(all_judged, batch): batch for batch in batches}
        for done in concurrent.futures.as_completed(running):
            batch = running[done]
            try:
                answers = done.result()
            except BrokenProcessPool:
                print(f"a process died between {batch[0]} and {batch[-1]}", flush=True)
                failed["process"] += 1
                continue
            for (name, seed), (wrong, took) in zip(batch, answers, strict=True):
                counts[name.partition(".")[0]] += 1
                seconds[name] += took
                if wrong is not None:
                    tell(name, seed, wrong)
    for kind, count in sorted(counts.items()):
        print(f"{kind:>14}: {count:7} inputs, {failed[kind]} failing")
    for name in sorted(seconds, key=seconds.__getitem__, reverse=True)[: options.slowest]:
        print(f"{seconds[name]:8.1f} s  {name}")
    total = time.perf_counter() - begun
    print(f"{'all':>14}: {counts.total():7} inputs, {failed.total()} failing, {total:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
