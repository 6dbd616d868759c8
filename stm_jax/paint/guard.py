"""Who may ask the server, and how much: everything passes here before anything is read."""

import hmac
import ipaddress
import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RATE, BURST = 200.0, 400.0  # requests that change something, or sockets: a second, and at once
POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
        *("img-src 'self' blob:", "frame-ancestors 'none'", "base-uri 'none'"),
        "form-action 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Refuses what does not come from a page of this server, with its token.

    A foreign page that has the browser call this server is told by its Origin; one that has its
    own name lead to this machine (DNS rebinding), by the Host; and neither knows the token.

    Args:
        app: What is guarded.
        token: The first part of each path.
        host: The name or address that the server is bound to.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app, self._token, self._host = app, token, host
        self._left, self._at = BURST, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        status, reason = self._refusal(scope)
        if not status:
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await PlainTextResponse(reason, status)(scope, receive, self._with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        is_socket = scope["type"] == "websocket"
        changes = is_socket or scope["method"] not in ("GET", "HEAD")
        if not self._is_ours(host):
            return 403, "this server is not called so"
        if (changes or origin) and origin != f"http://{host}":
            return 403, "this page is not of this server"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "this page is not of this server"
        given = scope["path"].lstrip("/").partition("/")[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 403, "open the address that stm-jax has printed: it has a token in it"
        if changes and not self._takes_one():
            return 429, "too many requests"
        return 0, ""

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        if name in ("localhost", self._host.lower()):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # no page has a name that is a number

    def _takes_one(self) -> bool:
        now = time.monotonic()
        self._left = min(BURST, self._left + RATE * (now - self._at))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @staticmethod
    def _with_headers(send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        return sending
