"""How the benchmarks take time: contestants take turns, round after round."""

import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from stm_jax.plan.targets import CHIPS

SHORTEST_SAMPLE = 0.3  # seconds; quicker calls are repeated until a sample takes this long


def interleave(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Returns the seconds of a call, (2, rounds): on the clock, and of all threads on the CPU.

    The calls take turns, after each has run once.
    """
    for call in calls.values():
        call()
    repeats = {who: math.ceil(SHORTEST_SAMPLE / timed(call, 1)[0]) for who, call in calls.items()}
    seconds = {who: np.zeros((2, rounds)) for who in calls}
    for turn in range(rounds):
        for who, call in calls.items():
            seconds[who][:, turn] = timed(call, repeats[who])
    return seconds


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Returns the seconds of one call, on the clock and of all threads on the CPU.

    The latter with those of processes that it starts and waits for.
    """
    clock, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - clock) / repeats, (cpu_seconds() - cpu) / repeats


def cpu_seconds() -> float:
    """Returns what this process and its ended children have spent on the CPU."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def times(seconds: np.ndarray, form: str = ".1f") -> str:
    """Returns what to print of the seconds of a call, (2, rounds): on the clock and on the CPU."""
    clock, cpu = 1e3 * seconds
    return f"{spread(clock, form)} ms, CPU {spread(cpu, form)} ms"


def ratio(slow: np.ndarray, fast: np.ndarray, form: str = ".2f") -> str:
    """Returns what to print of how many times as long a call takes, round by round."""
    clock, cpu = slow / fast
    return f"{spread(clock, form)}, CPU {spread(cpu, form)}"


def rate(gflop_a_second: np.ndarray, dtype: str) -> str:
    """Returns what to print of a speed, in GFLOP/s; and its share of the device's, where known."""
    speed = float(np.median(gflop_a_second))
    known = {chip.device_kind: chip for chip in CHIPS}
    chip = known.get(jax.devices()[0].device_kind)
    if chip is None or dtype != "bfloat16":  # the published rate is of bfloat16
        return f"{speed:.0f} GFLOP/s"
    return f"{speed:.0f} GFLOP/s, {1e9 * speed / chip.matrix_rate:.0%} of the matrix rate"


def status_kib(field: str) -> int:
    """Returns a figure of the memory of this process, such as VmRSS; OSError but on Linux."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def spread(numbers: np.ndarray, form: str) -> str:
    """Returns "median [least, most]"."""
    middle, least, most = np.median(numbers), numbers.min(), numbers.max()
    return f"{middle:{form}} [{least:{form}}, {most:{form}}]"
