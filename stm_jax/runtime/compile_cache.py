"""Keeps compiled programs on disk, so that the second run of a command starts at once."""

import contextlib

import jax
import platformdirs


def enable_compilation_cache() -> None:
    """Makes JAX keep what it compiles in the user's cache folder.

    For commands only: a library must not write to the disk unasked. A cache that the user has
    set up (JAX_COMPILATION_CACHE_DIR) is left as it is, and without a folder that can be written
    to there is simply no cache.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    folder = platformdirs.user_cache_path("stm_jax", appauthor=False) / "compiled"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
