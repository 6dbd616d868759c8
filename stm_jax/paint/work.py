"""The one worker: does one long piece of work at a time, tells how far it is, can be stopped."""

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Iterator

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
        self.progress: Progress | None = None
        self.error = ""

    def begin(self, doing: str, total: int, steps: Callable[[], Iterator[None]]) -> None:
        """Begins a piece of work; `steps` yields after each of its steps, where it may be stopped.

        Raises:
            InputError: Another one is being done.
        """
        with self._lock:
            if self.progress is not None:
                raise InputError(f"the worker is {self.progress.doing}: pause that first")
            self._stopped.clear()
            self.error, self.progress = "", Progress(doing, total=total)
            self._thread = threading.Thread(target=self._work, args=(steps,), daemon=True)
            self._thread.start()

    def stop(self, *, wait: bool = False) -> None:
        """Has the work stop after the step that is being done."""
        self._stopped.set()
        if wait and self._thread is not None:
            self._thread.join()

    def _work(self, steps: Callable[[], Iterator[None]]) -> None:
        assert self.progress is not None
        now, begun = self.progress, None
        self._tell()
        coming = None
        try:
            coming = steps()
            for _ in coming:
                done = now.done + 1
                at = time.monotonic()
                if begun is None:  # the first step compiles
                    begun = at
                rate = (done - 1) / (at - begun) if at > begun else 0.0
                left = max(0, now.total - done) / rate if rate and now.total else None
                now = dataclasses.replace(now, done=done, rate=round(rate, 2), left=left)
                self.progress = now
                self._tell()
                if self._stopped.is_set():
                    break
        except (InputError, OSError) as error:
            self.error = str(error)
        except Exception as error:  # the server goes on, and the page tells
            traceback.print_exc()
            self.error = f"this failed ({type(error).__name__}: {error}); the terminal tells more"
        finally:
            try:
                if coming is not None and hasattr(coming, "close"):
                    coming.close()  # pyright: ignore[reportAttributeAccessIssue]
            finally:
                self.progress = None
                self._tell()
