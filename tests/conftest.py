"""Fixtures of all tests: where the shared data lies, and a compilation cache."""

import atexit
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

# Before JAX is imported, and for the processes that tests start and the workers of pytest-xdist:
# a program that several of them need is compiled once.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="stm-jax-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they share a GPU as well
# LLVM optimises less, which halves the time of a training step's compilation.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax

XLA_FLAGS = os.environ["XLA_FLAGS"]
"""Of this session; processes that compare themselves with it or with each other have them too."""
PROJECT = pathlib.Path(__file__).resolve().parent.parent
MAPPINGS = pathlib.Path("/proc/self/maps")
MOST_MAPPINGS = 20_000
"""Of memory in this process. Each program takes some; at Linux's 65,530 the compiler ends it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="of the run in tests/test_killed.py")


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Returns the folder of shared data and golden outputs beside the checkout, or skips."""
    folder = PROJECT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("needs the shared data folder beside the checkout, which is not here")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _exact_products() -> None:
    """Multiplies float32 as float32 anywhere."""
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(scope="module", autouse=True)
def _few_programs() -> Iterator[None]:
    """Lets go of compiled programs when there are many of them."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()
