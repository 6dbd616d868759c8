"""Work beside the main thread, in order: what is read ahead of it, and what is written behind it.

FFmpeg, Pillow and OpenCV let go of Python while they work, so a thread each is enough.
"""

import collections
import concurrent.futures
import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

END = object()
AHEAD, BEHIND = 2, 4
"""How many things wait at most, which bounds the memory that they take."""


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yields the items, of which the next ones are made meanwhile, in a thread.

    An error of theirs is raised in its turn.
    """
    iterator = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = collections.deque(pool.submit(next, iterator, END) for _ in range(AHEAD))
        try:
            while (item := coming.popleft().result()) is not END:
                coming.append(pool.submit(next, iterator, END))
                yield item  # pyright: ignore[reportReturnType]
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def behind(call: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    """Yields what has the call made later, in a thread, one after the other.

    All are made when the block is left, however it is left. An error of one is raised by one of the
    next, or at the end.
    """
    waiting: collections.deque[concurrent.futures.Future[Any]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def later(*arguments: Any) -> None:
            while len(waiting) >= BEHIND:
                waiting.popleft().result()
            waiting.append(pool.submit(call, *arguments))

        try:
            yield later
        finally:
            while waiting:
                waiting.popleft().result()
