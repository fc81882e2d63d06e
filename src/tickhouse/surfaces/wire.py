"""A WebSocket protocol for uvicorn that lets one ready-made frame be written to many clients.

uvicorn frames each message anew for each client. With this class as `ws=` of its configuration, the stream finds the
extension `tickhouse.wire` and writes a frame that was encoded once. Without it everything works the same, only slower.
"""

from asyncio.transports import BaseTransport, Transport
from typing import cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

NAME = "tickhouse.wire"
MOST_BUFFERED = 1 << 18
"""Bytes not yet taken by the client beyond which it counts as slow."""


class Wire(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with a way around its framing."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Take the connection over."""
        super().connection_made(transport)
        cast(Transport, transport).set_write_buffer_limits(high=MOST_BUFFERED)

    def handle_connect(self, event: Request) -> None:
        """Tell the application that frames may be written."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][NAME] = {"wire": self}

    def write_frame(self, data: bytes) -> bool:
        """Write a whole frame now; false when the client is slow, not yet there, or leaving."""
        ready = self.handshake_complete and not self.close_sent and not self.disconnected
        if not ready or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def abort(self) -> None:
        """End the connection without waiting for what the client has not taken."""
        self.transport.abort()
