"""The same batch gives the same training on one device, on several, and on several hosts."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

PROJECT = pathlib.Path(__file__).resolve().parent.parent


def start(out: pathlib.Path, kind: str, devices: int, *hosts: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.mesh_worker", str(out), kind, *hosts]
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True
    )


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        _, error = process.communicate(timeout=600)
        assert process.returncode == 0, error[-3000:]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("one") / "one.npz"
    finish(start(out, "jit", 1))
    return dict(np.load(out))


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


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_four_devices_train_as_one(kind: str, one_device: dict, tmp_path: pathlib.Path):
    finish(start(tmp_path / "out.npz", kind, 4))
    check_equal(dict(np.load(tmp_path / "out.npz")), one_device)


def test_a_batch_in_parts_trains_as_one(one_device: dict, tmp_path: pathlib.Path):
    finish(start(tmp_path / "out.npz", "accumulate", 2))
    check_equal(dict(np.load(tmp_path / "out.npz")), one_device)


def test_two_hosts_of_two_devices_train_as_one(one_device: dict, tmp_path: pathlib.Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    out = tmp_path / "out.npz"
    finish(*(start(out, "jit", 2, coordinator, "2", str(host)) for host in range(2)))
    check_equal(dict(np.load(out)), one_device)


def test_gradients_are_reduced_once_a_step(tmp_path: pathlib.Path):
    finish(start(tmp_path / "out.npz", "jit", 4))
    found = dict(np.load(tmp_path / "out.npz"))
    parameters = sum(found[name].size for name in set(found) - {"losses", "reduced"})
    reduced = found["reduced"]
    print(
        f"{len(reduced)} arrays reduced, {reduced.sum()} bytes; parameters {4 * parameters} bytes"
    )
    # Every gradient once but the few that are 0; besides them, the loss and what is logged.
    assert 0.99 * 4 * parameters <= reduced.sum() <= 4 * parameters + 200
