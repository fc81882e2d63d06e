"""One WebSocket connection against a real server, on both event loops: what is taken, held, refused, answered and ended."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.core.loops import on_both_loops
from tickhouse.core.dial import opened
from tickhouse.core.foreign import translated
from tickhouse.core.socket import Closed, Socket

Handler = Callable[[ServerConnection], Awaitable[None]]
LIMIT = 65_536
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@dataclass
class Taker:
    """Takes messages as long as it is willing."""

    messages: list[bytes] = field(default_factory=list)
    willing: bool = True
    socket: Socket = field(init=False)

    def taken(self, message: bytes) -> bool:
        if self.willing:
            self.messages.append(message)
        return self.willing

    async def end(self, seconds: float = 5.0) -> Closed:
        """Take all there is, and say why the connection is over."""
        async with asyncio.timeout(seconds):
            with pytest.raises(Closed) as closed:
                while True:
                    self.socket.resume()
                    await self.socket.refused()
                    await asyncio.sleep(0.01)
        return closed.value

    async def until(self, count: int, seconds: float = 5.0) -> None:
        """Wait until so many messages are taken."""
        async with asyncio.timeout(seconds):
            while len(self.messages) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def talking(handler: Handler, *, secure: bool = False) -> AsyncIterator[Taker]:
    """A connection to a server of that behaviour; nothing is read of it until `resume`."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if secure else None
    if tls is not None:
        tls.load_cert_chain(CERTIFICATE)
    quiet = {"compression": None, "close_timeout": 0.2, "ping_interval": None}
    async with serve(handler, "127.0.0.1", 0, ssl=tls, **quiet) as server:
        port, taker = next(iter(server.sockets)).getsockname()[1], Taker()
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/ws"
        taker.socket = await opened(url, taker.taken, max_bytes=LIMIT, seconds=2.0)
        try:
            yield taker
        finally:
            await taker.socket.close(0.2)


def raw(connection: ServerConnection, data: bytes) -> None:
    """Send bytes as they are."""
    connection.transport.write(data)


def text(payload: bytes, opcode: Opcode = Opcode.TEXT, **more: bool) -> bytes:
    """The bytes of a frame."""
    return Frame(opcode, payload, **more).serialize(mask=False)


async def stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


@on_both_loops
async def test_messages_are_taken_in_order_as_bytes_and_none_before_resume():
    sent = ['{"p":"1.0","é":1}'.encode(), b"\xff\xfe not text", b"", b"\x00\x01", b"x" * LIMIT]

    async def handler(connection):
        raw(connection, text(sent[0]) + text(sent[1]) + text(sent[2]) + text(sent[3], Opcode.BINARY) + text(sent[4]))
        await stay(connection)

    async with talking(handler) as taker:
        await taker.socket.refused()
        assert taker.messages == []
        taker.socket.resume()
        await taker.until(5)
    assert taker.messages == sent


@on_both_loops
async def test_a_message_in_parts_is_put_together_whatever_comes_between():
    async def handler(connection):
        raw(connection, text(b"a", fin=False) + text(b"", Opcode.CONT, fin=False))
        await asyncio.sleep(0.02)
        await connection.ping()
        raw(connection, text(b"\xc3", Opcode.CONT, fin=False) + text(b"\xa9c", Opcode.CONT) + text(b"next"))
        await connection.send([b"b"] * 50)
        await stay(connection)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(3)
    assert taker.messages == ["aéc".encode(), b"next", b"b" * 50]


@pytest.mark.parametrize("parts", [[LIMIT + 1], [LIMIT // 2, LIMIT // 2 + 1], [LIMIT, 1, 1], [3_000_000]])
@on_both_loops
async def test_a_message_above_the_limit_ends_the_connection_and_what_came_before_is_kept(parts):
    told = []

    async def handler(connection):
        await connection.send("before")
        with contextlib.suppress(ConnectionClosed):
            await connection.send(["x" * part for part in parts] if len(parts) > 1 else "x" * parts[0])
            await connection.send("after")
            await asyncio.sleep(0.02)
            await connection.send("long after")
        await connection.wait_closed()
        told.append(connection.close_code)

    async with talking(handler) as taker:
        end = await taker.end()
        assert (end.code, end.ours, taker.messages) == (1009, True, [b"before"])
        assert "a message was larger than allowed, so we closed it (1009)" in str(translated(end, "h"))
        await taker.socket.close(0.5)
        await asyncio.sleep(0.05)
    assert taker.messages == [b"before"]
    assert told == [1009]


@on_both_loops
async def test_parts_up_to_the_limit_are_allowed():
    async def handler(connection):
        await connection.send(["x" * (LIMIT // 2), "x" * (LIMIT // 2)])
        await stay(connection)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(1)
    assert taker.messages == [b"x" * LIMIT]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@on_both_loops
async def test_who_does_not_take_makes_the_server_wait_and_loses_nothing(monkeypatch, secure):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    total, sent = 2_000, 0

    async def handler(connection):
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            for sent in range(1, total + 1):
                await connection.send(f"{sent} ".ljust(60_000, "y"))
        await stay(connection)

    async with talking(handler, secure=secure) as taker:
        taker.socket.resume()
        await taker.until(10)
        taker.willing, before = False, -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < total, "the server waits"
        refused = len(taker.messages)
        await taker.socket.refused()
        taker.socket.resume()
        await asyncio.sleep(0.05)
        assert (len(taker.messages), sent) == (refused, before), "asking in vain changes nothing"
        taker.willing = True
        taker.socket.resume()
        await taker.until(total, seconds=20)
    assert [int(message.split()[0]) for message in taker.messages] == list(range(1, total + 1))


@on_both_loops
async def test_what_is_held_is_bounded():
    """No more than a quarter of a MiB and one read of the socket, though the server is ahead by many times that."""

    async def handler(connection):
        raw(connection, text(b"z" * 10_000) * 2000)
        await stay(connection)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(600)
        taker.willing = False
        await taker.socket.refused()
        await asyncio.sleep(0.1)
        taker.socket.abort()
        taker.willing, taker.messages = True, []
        taker.socket.resume()
    assert 256 * 1024 - 10_000 < sum(map(len, taker.messages)) < (256 + 64) * 1024 + 10_000


@on_both_loops
async def test_messages_behind_a_refused_one_wait_for_resume():
    async def handler(connection):
        async for _ in connection:
            await connection.send("1")
            await connection.send("2")

    async with talking(handler) as taker:
        taker.willing = False
        taker.socket.resume()
        taker.socket.send("go")
        await taker.socket.refused()
        taker.willing = True
        taker.socket.send("go")
        await asyncio.sleep(0.05)
        assert taker.messages == []
        taker.socket.resume()
        assert taker.messages == [b"1", b"2", b"1", b"2"]


@on_both_loops
async def test_held_messages_outlive_the_connection():
    async def handler(connection):
        for i in range(100):
            await connection.send(f"{i}")
        await connection.close(1012, "restart")

    async with talking(handler) as taker:
        taker.willing = False
        taker.socket.resume()
        await asyncio.sleep(0.1)
        await taker.socket.refused()
        taker.willing = True
        end = await taker.end()
    assert taker.messages == [b"%d" % i for i in range(100)]
    assert (end.code, end.reason) == (1012, "restart")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [(1000, "", "(1000)"), (1001, "bye", "(1001: bye)"), (1012, "é", "(1012: é)"), (4001, "key", "(4001: key)")],
)
@on_both_loops
async def test_a_server_that_closes_says_why_and_is_answered(code, reason, words):
    answered = []

    async def handler(connection):
        await connection.send("last")
        await connection.close(code, reason)
        answered.append(connection.protocol.close_rcvd is not None)

    async with talking(handler) as taker:
        end = await taker.end()
        await asyncio.sleep(0.05)
    assert (taker.messages, end.code, end.reason, end.ours) == ([b"last"], code, reason, False)
    assert str(translated(end, "h")) == f"h ended the connection {words}"
    assert answered == [True]


@on_both_loops
async def test_a_close_without_a_code_and_nothing_counts_after_it():
    async def handler(connection):
        raw(connection, text(b"one") + text(b"", Opcode.CLOSE) + text(b"two") + text(b"", Opcode.CLOSE))
        await asyncio.sleep(0.1)

    async with talking(handler) as taker:
        end = await taker.end()
    assert (taker.messages, end.code, end.ours) == ([b"one"], 1005, False)


@on_both_loops
async def test_half_a_frame_and_then_nothing():
    async def handler(connection):
        raw(connection, text(b"one") + text(b"begun", fin=False) + text(b"x" * 300, Opcode.CONT)[:150])
        await asyncio.sleep(0.05)
        connection.transport.close()

    async with talking(handler) as taker:
        end = await taker.end()
        assert (taker.messages, end.code, end.ours) == ([b"one"], 1006, False)
        assert str(translated(end, "h")) == "h ended the connection without a word"
        with pytest.raises(Closed):
            taker.socket.send("x")
        with pytest.raises(Closed):
            taker.socket.ping()


WRONG = {
    "reserved bit": b"\xc1\x01x",
    "opcode": b"\x83\x01x",
    "masked": Frame(Opcode.TEXT, b"x").serialize(mask=True),
    "goes on with nothing": text(b"x", Opcode.CONT),
    "begins in the middle": text(b"x", fin=False) + text(b"y"),
    "control in parts": b"\x09\x01x",
    "no frame at all": b"\xff\xff no frame at all",
}


@pytest.mark.parametrize("wrong", WRONG)
@on_both_loops
async def test_what_is_no_websocket_ends_the_connection_and_what_came_before_is_kept(wrong):
    told = []

    async def handler(connection):
        raw(connection, text(b"one") + text(b"two") + WRONG[wrong] + text(b"three"))
        await connection.wait_closed()
        told.append(connection.close_code)

    async with talking(handler) as taker:
        end = await taker.end()
        assert (taker.messages, end.code, end.ours) == ([b"one", b"two"], 1002, True)
        assert "it broke the rules" in str(translated(end, "h"))
        await taker.socket.close(0.5)
        await asyncio.sleep(0.05)
    assert told == [1002]
    assert taker.messages == [b"one", b"two"]


@on_both_loops
async def test_texts_go_out_as_they_are():
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with talking(echo) as taker:
        taker.socket.resume()
        for size in (0, 1, 125, 126, LIMIT):
            taker.socket.send("é" * (size // 2) + "x" * (size % 2))
        await taker.until(5)
    assert taker.messages == [("é" * (size // 2) + "x" * (size % 2)).encode() for size in (0, 1, 125, 126, LIMIT)]


@on_both_loops
async def test_pings_both_ways():
    async def handler(connection):
        await (await connection.ping(b"there?"))
        await connection.send("answered")
        await stay(connection)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(1)
        pong = taker.socket.ping()
        async with asyncio.timeout(2):
            await pong
    assert taker.messages == [b"answered"]


@on_both_loops
async def test_a_ping_is_not_done_by_any_pong_and_is_cancelled_at_the_end():
    async def handler(connection):
        connection.transport.pause_reading()
        await asyncio.sleep(0.05)
        raw(connection, text(b"unasked", Opcode.PONG) + text(b"seen"))
        await asyncio.sleep(0.1)
        connection.transport.abort()

    async with talking(handler) as taker:
        taker.socket.resume()
        pong = taker.socket.ping()
        await taker.until(1)
        assert not pong.done()
        await taker.end()
        assert pong.cancelled()


@on_both_loops
async def test_leaving_takes_what_still_comes():
    sent = 0

    async def handler(connection):
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            for i in range(1000):
                await connection.send(f"{i}")
                sent = i + 1
                await asyncio.sleep(0)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(20)
        taker.socket.leave()
        await taker.end()
        assert taker.messages == [b"%d" % i for i in range(len(taker.messages))]
        assert len(taker.messages) >= sent > 20


@on_both_loops
async def test_a_server_that_does_not_say_goodbye_is_left_after_a_while():
    async def handler(connection):
        connection.transport.pause_reading()
        await asyncio.sleep(1)
        connection.transport.abort()

    async with talking(handler) as taker:
        began = asyncio.get_running_loop().time()
        await taker.socket.close(0.2)
        assert 0.15 < asyncio.get_running_loop().time() - began < 0.9
        assert (await taker.end()).code == 1006


@on_both_loops
async def test_after_an_abort_nothing_arrives():
    async def handler(connection):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send("x")
                await asyncio.sleep(0)

    async with talking(handler) as taker:
        taker.socket.resume()
        await taker.until(5)
        taker.socket.abort()
        count = len(taker.messages)
        await asyncio.sleep(0.05)
        assert len(taker.messages) == count


@on_both_loops
async def test_a_server_that_reads_nothing_is_not_read_either():
    """Else its pings would make our answers pile up without end."""

    async def handler(connection):
        connection.transport.pause_reading()
        frame = text(b"p" * 125, Opcode.PING) * 100
        while len(sent) < 4000 and connection.transport.get_write_buffer_size() < 2**20:
            raw(connection, frame)
            sent.append(len(frame))
            await asyncio.sleep(0)
        full.set()
        await asyncio.sleep(0.2)
        connection.transport.abort()

    sent, full = [], asyncio.Event()
    async with talking(handler) as taker:
        taker.socket.resume()
        async with asyncio.timeout(10):
            await full.wait()
        assert len(sent) < 4000, "the server has to wait"
        await taker.end()


@on_both_loops
async def test_a_failure_of_who_takes_is_not_hidden():
    async def handler(connection):
        await connection.recv()
        await connection.send("x")
        await stay(connection)

    async with talking(handler) as taker:
        taker.messages = None
        taker.socket.resume()
        taker.socket.send("go")
        with pytest.raises(AttributeError, match="append"):
            await taker.socket.refused()
