"""Connections: HTTP/1.1 (h11) and WebSocket (websockets, without its sockets) on one port, with data frames made ahead.

Frames of trades are written to the transport as they are, many at a time; the protocol objects see only handshakes,
pings, closes and what clients say.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import h11
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

from tickhouse.core.requests import SIMULATED
from tickhouse.exchange import Request, Response

LABEL = (SIMULATED, "1")
MOST_BYTES = 1 << 20
"""The longest request, and the longest message of a client."""
_HEADS = [b"\x81" + (bytes((n,)) if n < 126 else b"\x7e" + n.to_bytes(2, "big")) for n in range(2048)]


def framed(text: bytes) -> bytes:
    """A message as one text frame of a server.

    >>> framed(b"{}")
    b'\\x81\\x02{}'
    """
    size = len(text)
    if size < len(_HEADS):
        return _HEADS[size] + text
    return b"\x81" + (b"\x7e" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x7f" + size.to_bytes(8, "big")) + text


class Site(Protocol):
    """What a connection leads to."""

    async def answer(self, request: Request) -> Response: ...

    def enter(self, request: Request, socket: "Socket") -> Response | None:
        """A client asks to open a WebSocket: None lets it in, else what it is refused with."""

    def joined(self, wire: "Wire") -> None: ...

    def left(self, wire: "Wire") -> None: ...


class Socket:
    """The server's end of an open WebSocket."""

    def __init__(self, transport: asyncio.Transport, peer: str) -> None:
        self.transport, self.peer = transport, peer
        self.protocol = ServerProtocol(max_size=MOST_BYTES)
        self.heard: Callable[[Frame], None] = _ignored
        self.closed: Callable[[], None] = _nothing

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""
        return self.protocol.state is State.OPEN and not self.transport.is_closing()

    @property
    def pending(self) -> int:
        """Bytes that wait to be taken by the network."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send whole frames."""
        if self.open:
            self.transport.write(frames)

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life."""
        if self.open:
            self.protocol.send_ping(payload)
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self.open:
            self.protocol.send_close(code, reason)
            self._flush()

    def abort(self) -> None:
        """Break the connection without a word."""
        self.transport.abort()

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self.heard(event)
        self._flush()

    def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()


class Wire(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._http = h11.Connection(h11.SERVER)
        self._raw = b""
        self._request: h11.Request | None = None
        self._body = b""
        self._answering: asyncio.Task[None] | None = None
        self.socket: Socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.peer = str((transport.get_extra_info("peername") or ("?",))[0])
        self._site.joined(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self._answering:
            self._answering.cancel()
        if self.socket:
            self.socket.closed()
        self._site.left(self)

    def data_received(self, data: bytes) -> None:
        if self.socket:
            self.socket.received(data)
            return
        self._raw += data
        try:
            self._http.receive_data(data)
            self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def eof_received(self) -> None:
        if self.socket:
            self.socket.protocol.receive_eof()

    def _advance(self) -> None:
        """Take in what has come of a request."""
        while not self._answering and not self.socket:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if len(self._raw) > MOST_BYTES:
                    self._refuse(413)
                return
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
                if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in event.headers):
                    self._upgrade(event)
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._request:
                self._answering = asyncio.ensure_future(self._answer(self._asked(self._request)))
            else:
                self.transport.close()
                return

    def _asked(self, event: h11.Request) -> Request:
        target = event.target.decode("latin-1")
        path, _, query = target.partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        return Request(event.method.decode("latin-1"), path, query, headers, self._body, self.peer)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._site.answer(request)
        except Exception:
            self.transport.abort()
            raise
        self._answering = None
        if self.transport.is_closing():
            return
        headers = [
            ("content-type", response.kind), ("content-length", str(len(response.body))), LABEL, *response.headers.items()
        ]  # fmt: skip
        events = (
            h11.Response(status_code=response.status, headers=headers), h11.Data(data=response.body), h11.EndOfMessage()
        )  # fmt: skip
        self.transport.write(b"".join(self._http.send(event) or b"" for event in events))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._raw = bytes(self._http.trailing_data[0])
            self._http.start_next_cycle()
            self._next()
        else:
            self.transport.close()

    def _next(self) -> None:
        try:
            self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _upgrade(self, event: h11.Request) -> None:
        """From here on the connection speaks WebSocket."""
        socket = self.socket = Socket(self.transport, self.peer)
        socket.protocol.receive_data(self._raw)
        events = socket.protocol.events_received()
        handshake, early = (events[0] if events else None), events[1:]
        if not isinstance(handshake, Handshake):
            self._refuse(400)
            return
        response = socket.protocol.accept(handshake)
        refusal = self._site.enter(self._asked(event), socket) if response.status_code == 101 else None
        if refusal is not None:
            response = socket.protocol.reject(refusal.status, refusal.body.decode())
            for name, value in refusal.headers.items():
                response.headers[name] = value
        response.headers[LABEL[0]] = LABEL[1]
        socket.protocol.send_response(response)
        socket._flush()
        for frame in early:
            if isinstance(frame, Frame):
                socket.heard(frame)
        socket._flush()

    def _refuse(self, status: int) -> None:
        """Answer bytes that are no request."""
        self.transport.write(b"HTTP/1.1 %d Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.close()


def text_of(frame: Frame) -> bytes | None:
    """The text of a whole message; None for other frames."""
    return bytes(frame.data) if frame.opcode is Opcode.TEXT and frame.fin else None


def _ignored(_: Frame) -> None:
    pass


def _nothing() -> None:
    pass
