"""The pages that are open: each is told the same events, in the same order."""

import asyncio
import contextlib
import json
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket

from stm_jax.paint.room import Event, Tell

MOST_PAGES = 16
MOST_WAITING = 2000  # events: a page that is so far behind is cut off, and asks for all anew


class Pages:
    """Tells events to all pages; `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._open = 0
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Is called in the loop of the server."""
        self._loop = asyncio.get_running_loop()

    def tell(self, event: Event) -> None:
        """Has all pages be told."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                self._loop.call_soon_threadsafe(self._tell, event)

    async def serve(self, socket: WebSocket, greet: Callable[[Tell], None]) -> None:
        """Tells one page all that happens, until it goes; a page that says anything is cut off.

        Args:
            socket: Of the page.
            greet: Has what it is given tell the page what there is by now.
        """
        if self._open >= MOST_PAGES:
            await socket.close(1013, "too many pages are open")
            return
        self._open += 1
        queue: asyncio.Queue[Event | None] = asyncio.Queue(MOST_WAITING)
        sending = asyncio.create_task(self._send(socket, queue))
        loop = asyncio.get_running_loop()
        try:
            await socket.accept()
            await run_in_threadpool(
                greet, lambda first: loop.call_soon_threadsafe(self._join, queue, first)
            )
            message = await socket.receive()
            if message["type"] == "websocket.receive":
                await socket.close(1008, "this socket takes no messages")
        finally:
            self._open -= 1
            self._queues.discard(queue)
            sending.cancel()

    def _join(self, queue: asyncio.Queue[Event | None], first: Event) -> None:
        queue.put_nowait(first)
        self._queues.add(queue)

    async def _send(self, socket: WebSocket, queue: asyncio.Queue[Event | None]) -> None:
        while (event := await queue.get()) is not None:
            await socket.send_text(json.dumps(event, separators=(",", ":")))
        await socket.close(1013, "this page is too slow")

    def _tell(self, event: Event) -> None:
        for queue in tuple(self._queues):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._queues.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
