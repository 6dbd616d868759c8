"""Says that a program is being compiled, where that takes long enough to be taken for a hang."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

SECONDS = 5.0
LOG = logging.getLogger("stm_jax")


@contextlib.contextmanager
def telling_of_long_compiles(
    what: str, say: Callable[[str], object] = LOG.warning
) -> Iterator[None]:
    """Says one line if what happens inside, the first call of a program, takes over 5 seconds.

    Args:
        what: The program, such as "854x480, 200 objects".
        say: Takes the line.
    """
    line = f"still compiling for {what}: this may take minutes, once"
    timer = threading.Timer(SECONDS, say, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
