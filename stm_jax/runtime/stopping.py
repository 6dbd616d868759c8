"""Stopping a command in good order: Ctrl-C, SIGTERM (a cluster), SIGHUP (a closed terminal)."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
SECONDS = 4.0
"""Left to a command that is asked to stop before it is ended: clusters kill after a few more."""

_takes_time = threading.Event()


@contextlib.contextmanager
def handling_signals(handle: Callable[[int, object], None]) -> Iterator[None]:
    """Has SIGNALS call `handle` for a while; Python has them in the main thread only.

    SIGHUP stays ignored where it is: so `nohup` has it.
    """
    ignored = {number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN}
    wanted = [number for number in SIGNALS if number in SIGNALS[:2] or number not in ignored]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_between_frames() -> Iterator[Callable[[], bool]]:
    """Lets the first of SIGNALS finish the frame; yields whether one has come.

    In the middle of a step the segmenter's state is neither that of the frame before nor that of
    this one, so it could not be saved.
    """
    asked = threading.Event()

    def handle(number: int, _: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        say("\nstopping after this frame (Ctrl-C again to stop at once)\n")

    is_main = threading.current_thread() is threading.main_thread()
    with handling_signals(handle) if is_main else contextlib.nullcontext():
        yield asked.is_set


@contextlib.contextmanager
def ending_in_time() -> Iterator[None]:
    """Has SIGNALS raise KeyboardInterrupt, and ends the process if that does not end it.

    XLA compiles for up to minutes without coming back to Python, where a signal is heard. All files
    are whole or not there, and states are saved every few seconds, so nothing else is lost.
    """
    _takes_time.clear()
    done = threading.Event()
    heard, noted = os.pipe()
    os.set_blocking(noted, False)

    def watch() -> None:
        while signals := os.read(heard, 64):
            if not set(signals) & {int(number) for number in SIGNALS}:
                continue  # such as that of a child that has ended
            if not done.wait(SECONDS) and not _takes_time.is_set():
                say("\nstm-jax: stopped: give the same command again to go on\n")
                os._exit(130)

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(noted, warn_on_full_buffer=False)
    try:
        with handling_signals(interrupt):
            yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        os.close(noted)
        watcher.join()
        os.close(heard)


def take_time() -> None:
    """Lets this process stop as slowly as it must from now on: it has much to save."""
    _takes_time.set()


def say(text: str) -> None:
    """Prints on stderr from a signal's handler, which may have come while something is printed."""
    with contextlib.suppress(OSError):  # of a terminal that is closed
        os.write(2, text.encode())
