"""The same batch gives the same training on one device, on several, and on several hosts."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import PROJECT, XLA_FLAGS


def start(out: pathlib.Path, devices: int, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.mesh_worker", str(out), *words]
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {XLA_FLAGS}",
    }
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True
    )


def finish(*processes: subprocess.Popen) -> None:
    try:
        for process in processes:
            _, error = process.communicate(timeout=1200)
            assert process.returncode == 0, error[-3000:]
    finally:  # a host alone would wait for the others
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """Returns what each way to train came to, on so many of one process's four devices."""
    out = tmp_path_factory.mktemp("trained")
    finish(start(out, 4, "jit-1", "jit-4", "pmap-4", "accumulate-2"))
    return {file.stem: dict(np.load(file)) for file in out.iterdir()}


# Added to every memory key it changes no affinity: its gradient is rounding, which Adam enlarges.
WITHOUT_GRADIENT = "memory_head/key/bias"


def check_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    names = sorted(set(found) - {"losses", "reduced", WITHOUT_GRADIENT})
    assert np.allclose(found["losses"], expected["losses"], rtol=1e-6, atol=0)
    for name in names:
        # Looser for one tensor alone: Adam enlarges the rounding of gradients near 0.
        assert distance(found[name], expected[name]) <= 1e-5, name
    whole = [
        np.concatenate([arrays[name].ravel() for name in names]) for arrays in (found, expected)
    ]
    assert distance(*whole) <= 1e-6
    print(f"parameters differ by {distance(*whole):.1e}, relative")


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("kind", ["jit-4", "pmap-4"])
def test_four_devices_train_as_one(kind: str, trained: dict):
    check_equal(trained[kind], trained["jit-1"])


def test_a_batch_in_parts_trains_as_one(trained: dict):
    check_equal(trained["accumulate-2"], trained["jit-1"])


def test_two_hosts_of_two_devices_train_as_one(trained: dict, tmp_path: pathlib.Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    finish(*(start(tmp_path, 2, "jit-4", coordinator, "2", str(host)) for host in range(2)))
    check_equal(dict(np.load(tmp_path / "jit-4.npz")), trained["jit-1"])


def test_gradients_are_reduced_once_a_step(trained: dict):
    found = trained["jit-4"]
    parameters = sum(found[name].size for name in set(found) - {"losses", "reduced"})
    reduced = found["reduced"]
    print(
        f"{len(reduced)} arrays reduced, {reduced.sum()} bytes; parameters {4 * parameters} bytes"
    )
    # Every gradient once but the few that are 0; besides them, the loss and what is logged.
    assert 0.99 * 4 * parameters <= reduced.sum() <= 4 * parameters + 200
