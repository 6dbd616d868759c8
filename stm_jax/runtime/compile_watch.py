"""Counts what JAX compiles, and how long that takes."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator

import jax

PREFIX = "/jax/core/compile/"  # tracing, lowering and compiling
COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class Compilation:
    """What was compiled.

    Attributes:
        programs: How many XLA programs, the smallest ones and those from the disk's cache included.
        spans: When tracing, lowering and compiling began and ended; spans may lie in one another.
    """

    programs: int = 0
    spans: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it took; what lies in one another is counted once."""
        total, until = 0.0, 0.0
        for begin, end in sorted(self.spans):
            total += max(end - max(begin, until), 0.0)
            until = max(until, end)
        return total


@contextlib.contextmanager
def watch_compilation() -> Iterator[Compilation]:
    """Yields a count of what this thread compiles while the `with` block runs."""
    seen, thread = Compilation(), threading.get_ident()

    def note(event: str, start_time: float, end_time: float, **_: str | int) -> None:
        if threading.get_ident() == thread and event.startswith(PREFIX):
            seen.programs += event == COMPILED
            seen.spans.append((start_time, end_time))

    jax.monitoring.register_event_time_span_listener(note)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_time_span_listener(note)
