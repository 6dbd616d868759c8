"""Runs the server until it is stopped."""

import contextlib
import dataclasses
import os
import pathlib
import re
import secrets
import socket
from collections.abc import Callable

import uvicorn

from stm_jax.annotate.annotator import Annotator
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import from_json, read_json
from stm_jax.paint.app import guarded_app
from stm_jax.paint.pages import Pages
from stm_jax.paint.room import Room

OWN = ("127.0.0.1", "::1", "localhost")
NOTED = ".session/address.json"


@dataclasses.dataclass(frozen=True)
class Address:
    """What is kept of a session's address, so that a page that is open finds the server again."""

    token: str = ""
    port: int = 0


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
        port: 0 for that of the last time if it is free, or any.
        opened: Called with the page's address once it answers.

    Raises:
        InputError: There is no such host, or the port is taken.
    """
    # A folder from elsewhere may bring a token that somebody knows: it is for this machine alone.
    before = _address_before(folder) if host in OWN else Address()
    bound = _bound(host, port, before.port)
    token = before.token or secrets.token_urlsafe(24)
    if host in OWN:
        _note(folder, Address(token, bound.getsockname()[1]))
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


def _address_before(folder: pathlib.Path) -> Address:
    """Returns where the session was served before; a new address if that cannot be read."""
    try:
        noted = from_json(Address, read_json(folder / NOTED))
    except InputError:
        return Address()
    is_ours = re.fullmatch("[A-Za-z0-9_-]{32}", noted.token) and 0 < noted.port < 2**16
    return noted if is_ours else Address()


def _note(folder: pathlib.Path, address: Address) -> None:
    others = os.umask(0o077)  # nobody else may read the token
    try:
        write_json(folder / NOTED, dataclasses.asdict(address))
    finally:
        os.umask(others)


def _bound(host: str, port: int, before: int) -> socket.socket:
    if not port and before:
        with contextlib.suppress(InputError):  # somebody else has it now
            return _bound(host, before, 0)
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
