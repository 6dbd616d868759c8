"""Runs the server until it is stopped."""

import pathlib
import secrets
import socket
from collections.abc import Callable

import uvicorn

from stm_jax.annotate.annotator import Annotator
from stm_jax.errors import InputError
from stm_jax.paint.app import guarded_app
from stm_jax.paint.pages import Pages
from stm_jax.paint.room import Room

OWN = ("127.0.0.1", "::1", "localhost")


def serve(
    session: Annotator,
    folder: pathlib.Path,
    host: str,
    port: int,
    opened: Callable[[str], None],
) -> None:
    """Serves a session's page until SIGINT or SIGTERM.

    Args:
        session: Over a video.
        folder: Of the session.
        host: The name or address to bind to.
        port: 0 for any that is free.
        opened: Called with the page's address once it answers.

    Raises:
        InputError: There is no such host, or the port is taken.
    """
    bound = _bound(host, port)
    token = secrets.token_urlsafe(24)
    pages = Pages()
    room = Room(session, folder, pages.tell)
    config = uvicorn.Config(
        guarded_app(room, pages, token, host),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=2**12,
        limit_concurrency=200,
        timeout_graceful_shutdown=2,
        proxy_headers=False,
    )
    name = f"[{host}]" if ":" in host else host
    opened(f"http://{name}:{bound.getsockname()[1]}/{token}/")
    with bound:
        uvicorn.Server(config).run([bound])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}:{port} cannot be used ({error}): give another --host or --port"
        ) from error
    return bound
