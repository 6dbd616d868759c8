"""A small study that trains, and runs of it that are killed.

    python -m tests.study_runs --variants 4 --seeds 2 --kills 5
    python -m tests.study_runs --variants 4 --seeds 2 --lost-workers 1

runs it undisturbed and killed; or undisturbed, and on a Dask cluster of two worker processes, one
of which is killed. Says whether the tables are the same but for times.
"""

import argparse
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stm_jax import weights
from stm_jax.study.cost import last_step
from tests.benchmark_trees import davis2017
from tests.conftest import PROJECT, XLA_FLAGS
from tests.lively import lively_model
from tests.test_clips import write_clips

TIMES = ("seconds_a_frame", "training_seconds")
COMMAND = "import sys; from stm_jax.cli import main; sys.exit(main())"
STUDY = """
from pathlib import Path
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs
from stm_jax.memory import EveryNth, Fifo, First, Reservoir
from stm_jax.study import DataSet, Study, Variant
from stm_jax.train.config import StageConfig, TrainConfig

def training(rate):
    data = DataConfig((Photographs(Path("clips")),), size=32, batch_size=2)
    stage = StageConfig(data, steps=STEPS, learning_rate=rate, warmup_steps=1)
    return TrainConfig(
        None, (stage,), start_from="tiny.safetensors", checkpoint_every=3, log_every=1
    )

VARIANTS = (
    Variant("trained", EveryNth(2), training=training(1e-3), seeds=SEEDS),
    Variant("shared", Fifo(frames=2), training=training(1e-3), seeds=SEEDS),
    Variant("quick", EveryNth(2), training=training(3e-3), seeds=SEEDS),
    Variant("drawn", Reservoir(frames=2, every=1), seeds=SEEDS),
)

def get_study():
    videos = (DataSet("stripes", Path("davis"), "davis2017"),)
    return Study(VARIANTS[:COUNT], videos, baseline="trained", weights="tiny.safetensors")
"""

When = Callable[[], bool]


def make_study(folder: pathlib.Path, variants: int = 2, seeds: int = 2, steps: int = 8) -> None:
    """Writes study.py and all that it needs."""
    write_clips(folder / "clips")
    davis2017(folder / "davis", {"ant": (5, 32, 48, (2, 5)), "bee": (4, 32, 48, (1,))})
    weights.save(lively_model(), folder / "tiny.safetensors")
    write_study(folder, variants, seeds, steps)


def write_study(
    folder: pathlib.Path, variants: int = 2, seeds: int = 2, steps: int = 8, more: str = ""
) -> None:
    """Writes study.py; `more` is what stands below it."""
    begin = f"COUNT, SEEDS, STEPS = {variants}, {tuple(range(seeds))}, {steps}\n"
    (folder / "study.py").write_text(begin + STUDY + more)


def environment() -> dict[str, str]:
    """Returns the environment of processes whose numbers are compared."""
    return os.environ | {
        "PYTHONPATH": str(PROJECT),
        "JAX_PLATFORMS": "cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": XLA_FLAGS,
    }


def start(folder: pathlib.Path, out: pathlib.Path, *more: str) -> subprocess.Popen:
    """Starts the study, or goes on with it."""
    given = ["study", folder / "study.py", "--data", folder, "--out", out, *more]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, given)],
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen, status: int = 0) -> str:
    """Waits for the end, and returns what was printed."""
    output, _ = process.communicate(timeout=900)
    assert process.returncode == status, output[-3000:]
    return output


def wait_until(process: subprocess.Popen, when: When) -> None:
    """Waits until `when` says so, while the study works."""
    while not when():
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.01)


def kill(process: subprocess.Popen, when: When) -> None:
    """Kills the study, whose workers end with it, as soon as `when` says so."""
    wait_until(process, when)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def pieces_done(out: pathlib.Path, kind: str = "") -> int:
    """Returns how many pieces are done."""
    return len(list((out / "pieces").glob(f"{kind}*.json")))


def steps_done(out: pathlib.Path) -> int:
    """Returns how many steps all trainings have logged."""
    return sum(map(last_step, (out / "trainings").glob("training-*[!s]")))


def table(out: pathlib.Path) -> list[dict[str, str]]:
    """Returns the table without times."""
    with (out / "study.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the docstring of this file says; the exit status is 1 if tables differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--variants", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--lost-workers", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_study(folder, given.variants, given.seeds, steps=20)
        begun = time.monotonic()
        finish(start(folder, folder / "whole"))
        total = pieces_done(folder / "whole")
        print(f"undisturbed: {total} pieces in {time.monotonic() - begun:.0f} s", flush=True)
        same = True
        if given.kills:
            same &= _killed(folder, total, given.kills)
        if given.lost_workers:
            same &= _with_lost_workers(folder, given.lost_workers)
    return 0 if same else 1


def _killed(folder: pathlib.Path, total: int, kills: int) -> bool:
    rng, out = np.random.default_rng(0), folder / "killed"
    for number in range(kills):
        pieces, steps = pieces_done(out), steps_done(out)
        # By turns within a training and somewhere among the pieces.
        more = int(rng.integers(1, max(2, total // kills)))
        when: When = (
            (lambda s=steps: steps_done(out) > s + 4 or pieces_done(out) > total - 3)
            if number % 2 == 0
            else (lambda p=pieces, m=more: pieces_done(out) >= min(p + m, total - 1))
        )
        kill(start(folder, out, "--workers", "2"), when)
        time.sleep(1.0)  # its workers end
        done = f"{pieces_done(out)} of {total} pieces done, {steps_done(out)} steps"
        print(f"kill {number + 1}: {done}", flush=True)
    output = finish(start(folder, out))
    print(next(line for line in output.splitlines() if "done already" in line))
    return _told(folder, "killed")


def _with_lost_workers(folder: pathlib.Path, lost: int) -> bool:
    with DaskCluster(folder) as cluster:
        study = start(folder, folder / "cluster", "--scheduler", cluster.address)
        for number in range(lost):
            wait_until(study, lambda n=number: steps_done(folder / "cluster") >= 5 * (n + 1))
            cluster.kill_worker(number)
            done = pieces_done(folder / "cluster")
            print(f"worker {number + 1} killed: {done} pieces done", flush=True)
        finish(study)
    return _told(folder, "cluster")


def _told(folder: pathlib.Path, name: str) -> bool:
    same = table(folder / "whole") == table(folder / name)
    print(f"{name}: the table is {'the same' if same else 'ANOTHER'}", flush=True)
    return same


class DaskCluster:
    """A scheduler and two workers, each a process of its own; a context manager."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen] = []
        self.address = ""

    def __enter__(self) -> "DaskCluster":
        file = self._folder / "scheduler.json"
        quiet = ["--scheduler-file", str(file), "--no-dashboard"]
        self._begin("scheduler", "--port", "0", "--host", "127.0.0.1", *quiet)
        until = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        self.address = json.loads(file.read_text())["address"]
        for _ in range(2):
            self._begin(
                *("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
                *("--local-directory", str(self._folder / "dask"), "--memory-limit", "0"),
            )
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self._processes[::-1]:
            process.kill()
            process.wait()

    def kill_worker(self, number: int) -> None:
        """Kills a worker, which is not told of it."""
        self._processes[1 + number].kill()

    def _begin(self, *words: str) -> None:
        log = (self._folder / f"dask-{len(self._processes)}.log").open("w")
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                env=environment(),
                stdout=log,
                stderr=log,
            )
        )


if __name__ == "__main__":
    sys.exit(main())
