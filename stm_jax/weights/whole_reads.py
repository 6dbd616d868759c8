"""Reading a damaged checkpoint leaves nothing behind: no task, no thread's complaint.

Orbax reads all arrays at once and gives up at the first that fails. It closes its event loop then,
while TensorStore still reads the others: their answers find the loop closed, or are logged as
never retrieved whenever Python next clears up. Both are pages of text beside a one-line error.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from unittest import mock


class _LoopThatEndsWithItsTasks(asyncio.SelectorEventLoop):
    def close(self) -> None:
        if not self.is_closed():
            while tasks := asyncio.all_tasks(self):
                self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.run_until_complete(asyncio.sleep(0))  # who awaited the last ones is told
        super().close()


@contextlib.contextmanager
def every_read_is_awaited() -> Iterator[None]:
    """Makes the event loops that are opened meanwhile await their tasks before they close."""
    # Orbax has no argument for it, and policies of event loops go with Python 3.16.
    with mock.patch.object(asyncio, "new_event_loop", _LoopThatEndsWithItsTasks):
        yield
