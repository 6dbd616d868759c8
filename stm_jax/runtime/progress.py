"""How far a command has come: a bar on a terminal, a line every few seconds elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from stm_jax.text import printable

SECONDS_BETWEEN_LINES = 5.0
WARM_UP = 2  # the first two frames compile, and would spoil the rate


class FrameProgress:
    """Shows frames done, frames a second and time left, on stderr. A context manager.

    Args:
      count: frames of the video, or None if it is not known.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=count)
        self._said = time.monotonic()
        self._segmented = 0
        self._warm_since = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Prints a line, above the bar if there is one."""
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def update(
        self, frames: int, segmented: bool, label: str = "", count: int | None = None
    ) -> None:
        """Shows that `frames` frames are done; the rate counts those `segmented` in this run.

        `label` says what is being worked on, before the numbers; `count` how many there are in all,
        where that was not known in the beginning.
        """
        now = time.monotonic()
        self._count = self._count if count is None else count
        self._segmented += segmented
        if self._segmented == WARM_UP and segmented:
            self._warm_since = now
        line = label + self._line(frames, now)
        self._bar.update(
            self._task, completed=frames, total=self._count, description=printable(line)
        )
        if not self._console.is_terminal and now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            self.say(line)

    def _line(self, frames: int, now: float) -> str:
        # A file may say fewer frames than it has.
        count = self._count if self._count is not None and frames <= self._count else None
        line = f"{frames} frames" if count is None else f"{frames} of {count} frames"
        if self._segmented > WARM_UP:
            rate = (self._segmented - WARM_UP) / max(now - self._warm_since, 1e-6)
            line += f", {rate:.2g} frames/s"
            if count is not None:
                left = round((count - frames) / rate)
                line += f", {left // 60}:{left % 60:02d} left"
        return line
