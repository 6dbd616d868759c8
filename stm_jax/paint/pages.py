"""The pages that are open: each is told the same events, in the same order."""

import asyncio
import contextlib
import json

from starlette.websockets import WebSocket

from stm_jax.paint.room import Event

MOST_PAGES = 16
MOST_WAITING = 2000  # events: a page that is so far behind is cut off, and asks for all anew


class Pages:
    """Tells events to all pages; `tell` may be called from any thread."""

    def __init__(self) -> None:
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

    async def serve(self, socket: WebSocket, first: Event) -> None:
        """Tells one page all that happens, until it goes; a page that says anything is cut off."""
        if len(self._queues) >= MOST_PAGES:
            await socket.close(1013, "too many pages are open")
            return
        await socket.accept()
        queue: asyncio.Queue[Event | None] = asyncio.Queue(MOST_WAITING)
        queue.put_nowait(first)
        self._queues.add(queue)
        sending = asyncio.create_task(self._send(socket, queue))
        try:
            message = await socket.receive()
            if message["type"] == "websocket.receive":
                await socket.close(1008, "this socket takes no messages")
        finally:
            self._queues.discard(queue)
            sending.cancel()

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
