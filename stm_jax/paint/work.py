"""The one worker: does one long piece of work at a time, tells how far it is, can be stopped."""

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable

from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        doing: What it is, such as "following".
        done: Steps that are done.
        total: Steps that there are, as far as is known; 0 if it is not.
        rate: Steps a second, 0 as long as none is done.
        left: Seconds left, None if that is not known.
    """

    doing: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    left: float | None = None


class Stopped(Exception):
    """The work is to end here; see `Worker.step`."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A piece of work.

    Attributes:
        doing: What it is, such as "following".
        total: Steps that there are, as far as is known; 0 if it is not.
        run: Does it; calls `Worker.step` after each step.
    """

    doing: str
    total: int
    run: Callable[[], None]


class Worker:
    """Does work in a thread of its own.

    Args:
        tell: Called from that thread whenever the progress has changed.

    Attributes:
        progress: Of the work that is being done; None if there is none.
        error: What went wrong with the last one, "" if nothing did.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._next: Work | None = None
        self._begun: float | None = None
        self.progress: Progress | None = None
        self.error = ""

    def begin(self, work: Work, *, instead: bool = False) -> None:
        """Begins a piece of work.

        Args:
            work: Of it.
            instead: Whether it takes the place of work of its own kind that is being done.

        Raises:
            InputError: Another one is being done.
        """
        with self._lock:
            now = self.progress
            if now is None:
                self._stopped.clear()
                self.error, self.progress = "", Progress(work.doing, total=work.total)
                self._thread = threading.Thread(target=self._work, args=(work,), daemon=True)
                self._thread.start()
            elif instead and now.doing == work.doing:
                self._next = work
                self._stopped.set()
            else:
                raise InputError(f"the worker is {now.doing}: pause that first")

    def stop(self, *, wait: bool = False) -> None:
        """Has the work stop after the step that is being done."""
        with self._lock:
            self._next = None
            self._stopped.set()
        if wait and self._thread is not None:
            self._thread.join()

    def step(self) -> None:
        """Counts a step of the work that is being done, in its thread.

        Raises:
            Stopped: It is to stop.
        """
        assert self.progress is not None
        now, at = self.progress, time.monotonic()
        if self._begun is None:  # the first step compiles
            self._begun = at
        rate = now.done / (at - self._begun) if at > self._begun else 0.0
        left = max(0, now.total - now.done - 1) / rate if rate and now.total else None
        self.progress = dataclasses.replace(now, done=now.done + 1, rate=round(rate, 2), left=left)
        self._tell()
        if self._stopped.is_set():
            raise Stopped

    def _work(self, work: Work | None) -> None:
        while work is not None:
            self._begun = None
            self._tell()
            try:
                work.run()
            except Stopped:
                pass
            except (InputError, OSError) as error:
                self.error = str(error)
            except Exception as error:  # the server goes on, and the page tells
                traceback.print_exc()
                self.error = (
                    f"this failed ({type(error).__name__}: {error}); the terminal tells more"
                )
            with self._lock:
                work, self._next = self._next, None
                self.progress = work and Progress(work.doing, total=work.total)
                if work is not None:
                    self._stopped.clear()
                    self.error = ""
        self._tell()
