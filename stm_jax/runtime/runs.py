"""What every command that works for long shares: stopping it, its memory, what it depends on."""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from stm_jax.errors import InputError
from stm_jax.version import __version__

if TYPE_CHECKING:
    from stm_jax.nn.model import Model


@contextlib.contextmanager
def stop_between_frames() -> Iterator[Callable[[], bool]]:
    """Lets the first Ctrl-C (or SIGTERM) finish the frame; yields whether one has come.

    In the middle of a step the segmenter's state is neither that of the frame before nor that of
    this one, so it could not be saved.
    """
    asked = threading.Event()

    def handle(number: int, _: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not print: a signal may come while the progress bar is being printed.
        os.write(2, b"\nstopping after this frame (Ctrl-C again to stop at once)\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread gets signals
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def explain_out_of_memory() -> Iterator[None]:
    """Turns the device's running out of memory into an InputError that says what to do."""
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            "the device has too little memory for this: give a smaller --size or a larger"
            " --memorize-every, with --overwrite to start again"
        ) from error


def hash_of(model: "Model") -> str:
    """Returns a hash of the configuration and every weight."""
    import jax

    content = hashlib.sha256(repr(model.config).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(model.variables):
        content.update(jax.tree_util.keystr(path).encode())
        content.update(np.ascontiguousarray(leaf).data)
    return content.hexdigest()


def versions() -> dict[str, str]:
    """Returns the versions of the program, of Python and of what decides about the numbers."""
    packages = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy", "av")}
    return {"stm_jax": __version__, "python": platform.python_version()} | packages
