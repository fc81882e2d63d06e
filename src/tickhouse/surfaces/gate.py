"""What every request passes first and every response last: key, size, headers. Plain ASGI, so it costs little."""

import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders

from tickhouse.surfaces.problems import Problem, of
from tickhouse.surfaces.room import Room

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "tickhouse"
MAY = "tickhouse.may"
"""Where the scope of a request says whether its client may see data."""

MOST_BYTES = 16_384
OPEN = ("/", "/key", "/docs", "/v1/health", "/v1/ready", "/v1/openapi.json", "/favicon.ico")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


log = structlog.get_logger()


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], room: Room) -> None:
        self.app, self.room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        given = _given(scope, headers)
        bare, started = scope["method"] == "HEAD", False
        if bare:
            scope["method"] = "GET"

        async def finished(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent.setdefault(name, value)
                sent["X-Tickhouse-Simulated"] = "true" if self.room.simulated else "false"
            elif bare:
                message = {**message, "body": b""}
            await send(message)

        problem = self._refusal(scope, headers, given)
        if problem:
            await problem.response()(scope, receive, finished)
            return
        try:
            await self.app(scope, receive, finished)
        except Exception as error:
            log.error("request failed", path=scope["path"], traceback="".join(traceback.format_exception(error)))
            if started:
                raise
            await of(error).response()(scope, receive, finished)

    def _refusal(self, scope: Scope, headers: Headers, given: str | None) -> Problem | None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return Problem("too-large", f"a request has at most {MOST_BYTES} bytes beside its address")
        path = scope["path"]
        scope[MAY] = self._may(headers, given)
        if path in OPEN or path.startswith("/static/") or scope[MAY]:
            return None
        detail = "the key is wrong" if given is not None else "this house is only for those who have its key"
        return Problem("no-key", detail, headers={"WWW-Authenticate": "Bearer"})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        given = _given(scope, headers)
        if not self._may(headers, given):
            await _deny(scope, send, Problem("no-key", "the stream needs the key of this house: ?key= or a header"))
        elif not _same_origin(headers) and not (self.room.key and self.room.knows(given)):
            await _deny(scope, send, Problem("no-key", "a page of another site may not listen without the key"))
        else:
            await self.app(scope, receive, send)

    def _may(self, headers: Headers, given: str | None) -> bool:
        return self.room.knows(given) or self.room.passes(_cookie(headers))


def _given(scope: Scope, headers: Headers) -> str | None:
    """The key that a request brings. One in the address is taken out of it there and then, so that no log shows it."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    keys = [value for name, value in pairs if name == "key"]
    if keys:
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "key"]).encode()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key") or (keys[-1] if keys else None)


def _cookie(headers: Headers) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


def _same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


async def _deny(scope: Scope, send: Send, problem: Problem) -> None:
    """Refuse a WebSocket before it opens, with a problem where the server can send one."""
    if "websocket.http.response" in scope.get("extensions", {}):
        media = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
        await send({"type": "websocket.http.response.start", "status": problem.status, "headers": media})
        await send({"type": "websocket.http.response.body", "body": problem.body()})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:120]})
