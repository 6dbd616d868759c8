"""Checkpoints: a damaged one gives way to the one before; another configuration is told of."""

import dataclasses
import errno
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.config import STM_R18, TINY
from stm_jax.data.config import DataConfig
from stm_jax.errors import InputError
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import abstract_state, data_mesh
from stm_jax.train.run_config import write_config
from stm_jax.weights import checkpoints
from tests import full_disk_worker

CONFIG = TrainConfig(TINY, (StageConfig(DataConfig(), steps=10, learning_rate=1e-3),))


def state(value: float) -> dict:
    return {"params": {"a": jnp.full((40,), value), "b": jnp.full((3, 5), -value)}}


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run with checkpoints of steps 1, 2 and 3, whose parameters are the step."""
    with checkpoints.open_manager(tmp_path) as manager:
        for step in (1, 2, 3):
            checkpoints.save(manager, step, state(step))
    return tmp_path


def restore(run: pathlib.Path) -> tuple[int, dict, list[str]]:
    said: list[str] = []
    abstract = abstract_state(data_mesh(), jax.eval_shape(lambda: state(0)))
    with checkpoints.open_manager(run) as manager:
        step, found = checkpoints.restore_newest(manager, abstract, said.append)
    return step, found, said


def damage(run: pathlib.Path, step: int) -> None:
    for path in (run / "checkpoints" / str(step)).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def test_the_newest_is_taken(run: pathlib.Path):
    step, found, said = restore(run)
    assert (step, said) == (3, [])
    assert np.array_equal(found["params"]["a"], np.full(40, 3.0))


def test_a_checkpoint_is_flushed_with_all_that_lies_beside_its_arrays(tmp_path, monkeypatch):
    flushed, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda f: flushed.add(os.fstat(f).st_ino) or fsync(f))
    with checkpoints.open_manager(tmp_path) as manager:
        checkpoints.save(manager, 1, state(1))
    folder = tmp_path / "checkpoints"
    there = [folder, folder / "1", *(folder / "1").rglob("*")]
    assert (folder / "1/state/_METADATA") in there
    assert [path for path in there if path.stat().st_ino not in flushed] == []


def test_a_damaged_newest_gives_way_to_the_one_before(run: pathlib.Path):
    damage(run, 3)
    step, found, said = restore(run)
    assert step == 2 and np.array_equal(found["params"]["b"], np.full((3, 5), -2.0))
    assert len(said) == 1 and said[0].startswith("checkpoint 3 cannot be read")
    with checkpoints.open_manager(run) as manager:
        checkpoints.save(manager, 3, state(7))  # the run comes to that step again
    assert restore(run)[1]["params"]["a"][0] == 7


def test_when_none_can_be_read_the_run_stops(run: pathlib.Path):
    for step in (1, 2, 3):
        damage(run, step)
    with pytest.raises(InputError, match=r"none of the checkpoints \[3, 2, 1\] in .* can be read"):
        restore(run)


def test_a_full_disk_leaves_the_last_good_one(tmp_path: pathlib.Path):
    project = pathlib.Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "tests.full_disk_worker", str(tmp_path)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (told,) = done.stdout.splitlines()
    assert re.search(rf"{os.strerror(errno.EFBIG)}.*of step 1: make room", told)

    noise = full_disk_worker.NOISE
    large = {"params": {"a": jnp.asarray(noise), "b": jnp.zeros(())}}
    with checkpoints.open_manager(tmp_path) as manager:
        assert manager.all_steps() == [1]
        abstract = abstract_state(data_mesh(), jax.eval_shape(lambda: large))
        step, found = checkpoints.restore_newest(manager, abstract, print)
        np.testing.assert_array_equal(found["params"]["a"], noise)
        checkpoints.save(manager, 2, large)  # there is room again
    assert step == 1 and (tmp_path / "checkpoints/2").is_dir()


def test_another_configuration_is_told_of_or_refused(tmp_path: pathlib.Path):
    said: list[str] = []
    write_config(tmp_path, CONFIG, said.append)
    write_config(tmp_path, dataclasses.replace(CONFIG, log_every=7), said.append)
    assert said == []
    longer = dataclasses.replace(CONFIG.stages[0], steps=20)
    write_config(tmp_path, dataclasses.replace(CONFIG, stages=(longer,)), said.append)
    assert said == ["going on with another configuration: stages.1.steps was 10, is now 20"]
    for other in ({"model": STM_R18}, {"average_decay": 0.99}):
        with pytest.raises(InputError, match="give another run folder"):
            write_config(tmp_path, dataclasses.replace(CONFIG, **other), said.append)
