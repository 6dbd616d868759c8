"""The server's addresses; each is below the token.

GET  /                  the page, and its files by name: no other file
GET  /frame/N /thumb/N  JPEG
GET  /mask/N            ids as gzip; X-Told: the objects of which the frame says where they are
POST /mask/N?objects=   the same, given; /hand-mask: a picture of a mask, answered as ids
POST /assist            JSON of `Assist`, answered as a mask of 0 and 1
POST /do                JSON of a command; answers how to undo it, if it can be
GET  /looked            the picture of the last look into the memory
GET  /export/KIND       what was exported, a folder as ZIP
     /events            a socket that tells the page the state, and what changes
"""

import contextlib
import importlib.resources
import mimetypes
from collections.abc import AsyncIterator

import numpy as np
from jaxtyping import UInt8
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from stm_jax.errors import InputError
from stm_jax.paint import messages
from stm_jax.paint.assist import assisted
from stm_jax.paint.download import download
from stm_jax.paint.guard import Guard
from stm_jax.paint.pages import Pages
from stm_jax.paint.pictures import jpeg, packed, unpacked
from stm_jax.paint.room import Room

MOST_JSON = 2**20
MOST_PICTURE = 2**26
KEPT = {"cache-control": "private, max-age=86400"}  # frames do not change
NEVER_KEPT = {"cache-control": "no-store"}


def guarded_app(room: Room, pages: Pages, token: str, host: str) -> ASGIApp:
    """Returns the server for one room.

    Args:
        room: What is painted.
        pages: Whose `tell` the room calls.
        token: Without it nothing is answered.
        host: What the server is bound to.
    """
    height, width = room.size
    page = importlib.resources.files("stm_jax.paint") / "page"
    files = {each.name: each.read_bytes() for each in page.iterdir() if each.is_file()}

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", "") or "index.html"
        if name not in files:
            raise HTTPException(404)
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        kind = "text/javascript" if name.endswith(".js") else kind
        return Response(files[name], media_type=kind, headers=NEVER_KEPT)

    async def frame(request: Request) -> Response:
        picture = await run_in_threadpool(room.session.reader.__getitem__, number(request))
        content = await run_in_threadpool(jpeg, picture)
        return Response(content, media_type="image/jpeg", headers=KEPT)

    async def thumb(request: Request) -> Response:
        content = await run_in_threadpool(room.thumb, number(request))
        return Response(content, media_type="image/jpeg", headers=KEPT)

    async def mask(request: Request) -> Response:
        ids, told = await run_in_threadpool(room.mask, number(request))
        answer = of_ids(ids)
        answer.headers["x-told"] = " ".join(map(str, told))
        return answer

    async def give_mask(request: Request) -> Response:
        index = number(request)
        content = await body(request, height * width + 2**16)
        ids = unpacked(content, height, width)
        asked = request.query_params.get("objects", "").split()
        if not all(each.isdecimal() and len(each) < 4 for each in asked):
            raise InputError("objects are ids with blanks between them")
        objects = [int(i) for i in asked]
        await run_in_threadpool(room.annotate, index, ids, objects, page_of(request))
        return JSONResponse({})

    async def hand_mask(request: Request) -> Response:
        content = await body(request, MOST_PICTURE)
        return of_ids(await run_in_threadpool(room.read_mask, content))

    async def assist(request: Request) -> Response:
        asked = messages.assist(await body(request, MOST_JSON))
        picture = await run_in_threadpool(room.session.reader.__getitem__, asked.frame)
        return of_ids(await run_in_threadpool(assisted, picture, asked.box, asked.scribbles))

    async def do(request: Request) -> Response:
        command = messages.command(await body(request, MOST_JSON))
        number = await run_in_threadpool(room.do, command, page_of(request))
        return JSONResponse({} if number is None else {"undo": number})

    async def looked(request: Request) -> Response:
        content = room.looked()
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type="image/png", headers=NEVER_KEPT)

    async def exported(request: Request) -> Response:
        place = room.exported(request.path_params["kind"])
        name = f"{room.session.reader.frames.path.resolve().stem}-{request.path_params['kind']}"
        answer = await run_in_threadpool(download, place, place.parent, name)
        answer.headers.update(NEVER_KEPT)
        return answer

    async def events(socket: WebSocket) -> None:
        await pages.serve(socket, room.greet)

    def number(request: Request) -> int:
        index = request.path_params["number"]
        if not 0 <= index < room.session.count:
            raise HTTPException(404)
        return index

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        pages.open()
        yield
        await run_in_threadpool(room.close)

    below = f"/{token}"
    routes = [
        Route(f"{below}/frame/{{number:int}}", frame),
        Route(f"{below}/thumb/{{number:int}}", thumb),
        Route(f"{below}/mask/{{number:int}}", mask, methods=["GET"]),
        Route(f"{below}/mask/{{number:int}}", give_mask, methods=["POST"]),
        Route(f"{below}/hand-mask", hand_mask, methods=["POST"]),
        Route(f"{below}/assist", assist, methods=["POST"]),
        Route(f"{below}/do", do, methods=["POST"]),
        Route(f"{below}/looked", looked),
        Route(f"{below}/export/{{kind}}", exported),
        WebSocketRoute(f"{below}/events", events),
        Route(f"{below}/", file),
        Route(f"{below}/{{name}}", file),
    ]
    wrong = {InputError: say_what_is_wrong, OSError: say_what_is_wrong}
    return Guard(Starlette(routes=routes, lifespan=life, exception_handlers=wrong), token, host)


def of_ids(ids: UInt8[np.ndarray, "height width"]) -> Response:
    """Answers with a mask."""
    headers = {**NEVER_KEPT, "content-encoding": "gzip"}
    return Response(packed(ids), media_type="application/octet-stream", headers=headers)


def page_of(request: Request) -> str:
    """Returns which page asks: it is not told of its own edits of masks."""
    return request.headers.get("x-page", "")[:40]


async def body(request: Request, most: int) -> bytes:
    """Returns what was sent, and reads no more than may be.

    Raises:
        HTTPException: It is larger.
    """
    said = request.headers.get("content-length", "0")
    content = bytearray()
    if not said.isdecimal() or int(said) > most:
        raise HTTPException(413, f"this is more than {most} bytes", {"connection": "close"})
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise HTTPException(413, f"this is more than {most} bytes", {"connection": "close"})
    return bytes(content)


async def say_what_is_wrong(_: Request, error: Exception) -> Response:
    """Answers with one line."""
    return PlainTextResponse(" ".join(str(error).split()), 400)
