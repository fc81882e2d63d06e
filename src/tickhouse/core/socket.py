"""One open WebSocket connection, as the client of picows that it is: texts out, whole messages in."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport

Taken = Callable[[bytes], bool]
_TEXT, _CONTINUATION, _PONG, _CLOSE = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.PONG, WSMsgType.CLOSE
_HELD = 256 << 10
"""Bytes of messages that may wait to be taken before the socket is not read; at most one read of the socket comes on top."""
SIP = 64 << 10
"""Bytes to read at once at most."""


class Closed(Exception):
    """A connection is over. `code` is that of the close frame: 1005 when it has none, 1006 when there was no close frame.

    `ours` says that it was we who closed it, for `reason`.
    """

    def __init__(self, code: int, reason: str = "", *, ours: bool = False) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code, self.reason, self.ours = code, reason, ours


class Socket(WSListener):
    """An open connection; `dial.opened` makes one, `close` or `abort` ends it. Belongs to one event loop.

    Every whole message goes to `taken`, in order, as bytes (a text need not be UTF-8). One that it refuses by returning false is
    kept, with all that follow it, until `resume` offers them again; from a quarter of a MiB on the socket is not read, so that the
    server has to wait. Nothing is offered before the first `resume`. Pings of the server are answered.
    """

    _transport: WSTransport

    def __init__(self, taken: Taken, max_bytes: int) -> None:
        self._taken, self._most = taken, max_bytes
        self._offer: Taken = _refused
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._parts: bytearray | None = None
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._numbers = count()
        self._over: BaseException | None = None
        self._paused = self._clogged = self._left = False
        self._news, self._gone = asyncio.Event(), asyncio.Event()

    def resume(self) -> None:
        """Offer what was not taken, and read on."""
        self._offer = self._taken
        while self._held and self._offer(self._held[0]):
            self._held_bytes -= sys.getsizeof(self._held.popleft())
        self._steer()

    async def refused(self) -> None:
        """Wait until a message is not taken. Raises `Closed` once the connection is over and all of it is taken."""
        while not self._held:
            if self._over is not None:
                raise self._over
            self._news.clear()
            await self._news.wait()

    def send(self, text: str) -> None:
        """Send a text. Raises `Closed` when the connection is over."""
        self._check()
        self._transport.send(_TEXT, text)

    def ping(self) -> asyncio.Future[None]:
        """Ask for a sign of life: done when the server answers, cancelled when the connection ends before."""
        self._check()
        payload, pong = b"%d" % next(self._numbers), asyncio.get_running_loop().create_future()
        self._pings[payload] = pong
        self._transport.send_ping(payload)
        return pong

    def leave(self) -> None:
        """Say goodbye. What still comes until the server says so too is offered as ever."""
        self._left = True
        self._transport.send_close(WSCloseCode.OK)

    async def close(self, seconds: float) -> None:
        """Say goodbye, wait at most `seconds` for the server to do so, and be gone."""
        self.leave()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._gone.wait()
        finally:
            self.abort()

    def abort(self) -> None:
        """Be gone at once; from now on nothing more arrives."""
        self._finish(Closed(1006, ours=True))
        self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        below = transport.underlying_transport
        below.set_protocol(_Sips(below.get_protocol()))
        self._watch = asyncio.create_task(self._watched())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._over is not None:
            if kind is _CLOSE:
                transport.disconnect()
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a frame of an extension that was not agreed on")
        elif kind is _TEXT and frame.fin and self._parts is None and not transport.is_close_frame_sent:
            message = frame.get_payload_as_bytes()
            if self._held or not self._offer(message):
                self._hold(message)
        elif kind is _PONG:
            self._ponged(frame.get_payload_as_bytes())
        elif kind is _CLOSE:
            self._leave(frame.get_payload_as_bytes())
        else:
            self._join(frame)

    def pause_writing(self) -> None:
        self._clogged = True
        self._steer()

    def resume_writing(self) -> None:
        self._clogged = False
        self._steer()

    def _join(self, frame: WSFrame) -> None:
        """One part of a message, perhaps the last or the only one."""
        parts = bytearray() if self._parts is None else self._parts
        if (frame.msg_type is _CONTINUATION) == (self._parts is None):
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a part of a message out of order")
        # picows refuses larger frames itself, but reads on for a moment.
        elif len(parts) + frame.payload_size > self._most:
            self._fail(WSCloseCode.MESSAGE_TOO_BIG, "a message larger than allowed")
        else:
            parts += frame.get_payload_as_memoryview()
            self._parts = None if frame.fin else parts
            if frame.fin and (self._held or not self._offer(bytes(parts))):
                self._hold(bytes(parts))

    def _hold(self, message: bytes) -> None:
        self._held.append(message)
        self._held_bytes += sys.getsizeof(message)
        self._news.set()
        self._steer()

    def _steer(self) -> None:
        """Read on or not: not while much is held, nor while the server does not read what we send."""
        pause = self._clogged or self._held_bytes > _HELD
        below = self._transport.underlying_transport
        if pause != self._paused and not below.is_closing():
            self._paused = pause
            below.pause_reading() if pause else below.resume_reading()

    def _ponged(self, payload: bytes) -> None:
        """An answer to one ping is an answer to those before it too."""
        while payload in self._pings:
            pong = self._pings.pop(next(iter(self._pings)))
            if not pong.done():
                pong.set_result(None)

    def _leave(self, payload: bytes) -> None:
        """The server closes, or answers: answer, and hang up. What picows itself closed for is told by `_watched`."""
        failed = self._transport.is_close_frame_sent and not self._left
        self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect()
        if not failed:
            self._finish(Closed(int.from_bytes(payload[:2], "big") or 1005, payload[2:].decode()))

    def _fail(self, code: WSCloseCode, reason: str) -> None:
        """We close, for the server broke a rule."""
        self._transport.send_close(code, reason)
        self._finish(Closed(code.value, reason, ours=True))

    async def _watched(self) -> None:
        """Wait until the connection is gone, for whatever reason, and tell."""
        end: BaseException = Closed(1006)
        try:
            await self._transport.wait_disconnected()
        except WSProtocolError as error:
            end = Closed(int(error.code), str(error), ours=True)
        except Exception as error:  # one of `taken`
            end = error
        self._finish(end)
        self._gone.set()

    def _finish(self, end: BaseException) -> None:
        """Nothing counts from now on but what is held."""
        if self._over is None:
            self._over = end
            for pong in self._pings.values():
                pong.cancel()
            self._news.set()

    def _check(self) -> None:
        if self._over is not None:
            raise self._over


class _Sips(asyncio.BufferedProtocol):
    """Between a transport and picows, which would double its buffer, never to give it back, as long as a read fills it."""

    def __init__(self, picows: Any) -> None:
        self._buffer: Callable[[int], memoryview] = picows.get_buffer
        for name in ("buffer_updated", "eof_received", "connection_lost", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(picows, name))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer(sizehint)[:SIP]


def _refused(_: bytes) -> bool:
    return False
