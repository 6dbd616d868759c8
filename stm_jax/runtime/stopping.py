"""Stopping a command that works for long, by Ctrl-C or SIGTERM."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def handling_signals(handle: Callable[[int, object], None]) -> Iterator[None]:
    """Has SIGINT and SIGTERM call `handle` for a while; Python has them in the main thread only."""
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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

    is_main = threading.current_thread() is threading.main_thread()
    with handling_signals(handle) if is_main else contextlib.nullcontext():
        yield asked.is_set
