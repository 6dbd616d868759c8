"""A run that is killed goes on to the same result, and may go on with other devices.

    pytest -s tests/test_killed.py --kills 10

kills a run ten times; every second time while a checkpoint is being written.

    python -m tests.kill_campaign

kills `segment`, `benchmark-dataset` and `train` twenty times each, and takes what a power cut would
take besides; a small part of it is among the tests here.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
import pytest

import stm_jax
from tests import kill_campaign
from tests.conftest import PROJECT, XLA_FLAGS
from tests.test_clips import write_clips

RECIPE = """
from pathlib import Path
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs, Videos
from stm_jax.train import StageConfig, TrainConfig

def get_config():
    sources = (Photographs(Path(".")), Videos(Path(".")))
    data = DataConfig(sources, length=2, size=32, batch_size=4)  # two frames: compiled sooner
    stage = StageConfig(data, steps=20, learning_rate=1e-4, warmup_steps=1)
    return TrainConfig(model=TINY, stages=(stage, stage), log_every=1, checkpoint_every=4)
"""

COMMAND = "import sys; from stm_jax.cli import main; sys.exit(main())"

Start = Callable[..., subprocess.Popen]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Returns what starts, or goes on with, a run in a process of its own."""
    folder = tmp_path_factory.mktemp("recipe")
    recipe, data = folder / "recipe.py", folder / "data"
    recipe.write_text(RECIPE)
    write_clips(data)

    def begin(run: pathlib.Path, *changes: str, devices: int = 1) -> subprocess.Popen:
        arguments = ["--config", recipe, "--data", data, "--run-folder", run, *changes]
        count = f"--xla_force_host_platform_device_count={devices}"
        environment = {
            "PYTHONPATH": str(PROJECT),
            "JAX_PLATFORMS": "cpu",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "XLA_FLAGS": f"{count} {XLA_FLAGS}",
        }
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "train", *map(str, arguments)],
            cwd=PROJECT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin


@pytest.fixture(scope="module")
def whole(start: Start, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Returns the folder of a run on one device that nothing stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finish(start(run))
    return run


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    return output


def steps_logged(run: pathlib.Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def half_written(run: pathlib.Path) -> bool:
    return any((run / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


def kill(process: subprocess.Popen, when: Callable[[], bool]) -> str:
    """Kills the run as soon as `when` says so, and returns what it had printed."""
    while not when():
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.0005)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    return output


def variables_of(run: pathlib.Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(stm_jax.load(run).variables)]


def test_a_killed_run_ends_with_the_same_bits(
    start: Start, whole: pathlib.Path, tmp_path: pathlib.Path, request: pytest.FixtureRequest
):
    killed = tmp_path / "killed"
    rng = np.random.default_rng(0)
    torn = 0
    for number in range(request.config.getoption("--kills")):
        process, before = start(killed), steps_logged(killed)
        if number % 2 == 0:
            # What an earlier kill left half written is gone once the first step is logged.
            kill(process, lambda b=before: steps_logged(killed) > b and half_written(killed))
        else:
            steps, delay = int(rng.integers(1, 7)), rng.uniform(0, 0.05)
            kill(
                process,
                lambda goal=before + steps, d=delay: (
                    steps_logged(killed) >= goal and time.sleep(d) is None
                ),
            )
        torn += half_written(killed)
        print(f"kill {number + 1}: after {steps_logged(killed) - before} steps, {torn} torn so far")
    assert torn  # at least one kill fell into the writing of a checkpoint
    finish(start(killed))
    assert not half_written(killed)
    for expected, found in zip(variables_of(whole), variables_of(killed), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_run_goes_on_with_another_number_of_devices(
    start: Start, whole: pathlib.Path, tmp_path: pathlib.Path
):
    moved = tmp_path / "moved"
    # Once step 9 is logged step 4 is on the disk, for the saving of step 8 waits for it.
    kill(start(moved), lambda: steps_logged(moved) >= 9)
    before = steps_logged(moved)
    output = kill(start(moved, devices=4), lambda: steps_logged(moved) >= before + 9)
    assert "going on from step" in output and "4 x cpu" in output
    variables_of(moved)  # can be read on one device
    output = finish(start(moved))
    assert "going on from step" in output and "1 x cpu" in output
    expected, found = (
        np.concatenate([leaf.ravel() for leaf in variables_of(run)]) for run in (whole, moved)
    )
    difference = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    print(f"differ by {difference:.1e}, relative")
    assert 0 < difference <= 1e-5


def test_a_power_cut_takes_what_was_not_flushed_and_nothing_else(tmp_path: pathlib.Path):
    journal, rng = tmp_path / "flushes", np.random.default_rng(0)
    hows: set[str] = set()
    for number in range(40):
        out = tmp_path / str(number)
        out.mkdir()
        for name in ("flushed", "log.jsonl", "new"):
            (out / name).write_bytes(bytes(range(1, 100)))
            if name != "new":
                with journal.open("a") as notes:
                    kill_campaign.note(notes, (out / name).stat())
        time.sleep(0.01)
        with (out / "log.jsonl").open("ab") as log:
            log.write(b"more")
        taken = kill_campaign.take(out, journal, rng)
        hows |= {line.split()[1] for line in taken if line.startswith("new")}
        assert not any(line.startswith("flushed") for line in taken)
        assert (out / "flushed").read_bytes() == bytes(range(1, 100))
        assert (out / "log.jsonl").read_bytes().startswith(bytes(range(1, 100)))
        assert kill_campaign.take(out, journal, rng) == []  # what came through is on the disk
    assert hows == {"cut", "zeros", "empty", "gone"}


def test_a_killed_command_goes_on_to_the_same_end(tmp_path: pathlib.Path):
    (tmp_path / "inputs").mkdir()
    command = kill_campaign.commands(tmp_path / "inputs")["segment"]
    for name in ("whole", "killed"):
        (tmp_path / "segment" / name).mkdir(parents=True)
    expected, _ = kill_campaign.undisturbed(command, tmp_path / "segment/whole")
    rng = np.random.default_rng(1)
    found, _, _ = kill_campaign.trial(command, tmp_path / "segment/killed", 1, 0.3, rng)
    assert found == expected
