"""Stopping in good order: SIGTERM (preemption), SIGHUP and Ctrl-C end a run between two steps."""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

from stm_jax.runtime.stopping import SIGNALS, say


class StopSignal:
    """While it is entered, a signal asks the run to stop rather than killing it.

    A second signal stops at once.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in self._signals():
                if number != SIGNALS[-1] or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def asked(self, step: int) -> bool:
        """Returns whether to stop after this step; on several hosts all of them agree."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            return True
        return self._asked.is_set()

    def _signals(self) -> tuple[int, ...]:
        # With several hosts JAX's own service listens to SIGTERM, and finds a common step.
        several = jax.process_count() > 1
        return tuple(n for n in SIGNALS if not (several and n == signal.SIGTERM))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()
        say("\nstopping after this step (Ctrl-C again to stop at once)\n")
