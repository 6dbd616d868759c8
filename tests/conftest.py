"""Fixtures of all tests: where the shared data lies, and a compilation cache."""

import pathlib

import jax
import pytest

PROJECT = pathlib.Path(__file__).resolve().parent.parent


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
def _compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiles a program that several tests need once; multiplies float32 as float32 anywhere.

    JAX_COMPILATION_CACHE_DIR keeps the programs from one session to the next.
    """
    jax.config.update("jax_default_matmul_precision", "highest")
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax_cache")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
