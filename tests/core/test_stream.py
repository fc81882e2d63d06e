"""WebSocket lines against a real server: frames, evidence, reconnecting, and what a person is told."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, dropwhile, pairwise
from pathlib import Path
from random import Random

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.core.loops import on_both_loops
from tickhouse.core import marks
from tickhouse.core.batches import LIVE
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import Final
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import LineOptions
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.requests import Subscription
from tickhouse.core.retry import Retry
from tickhouse.core.transport import Transport, TransportOptions

TICK = 0.03
LINE = LineOptions(
    tick=TICK, connect_timeout=1.0, close_timeout=0.3, stable_after=0.2, renew_before=0.1,
    retry=Retry(attempts=1000, first=0.02, most=0.05),
)  # fmt: skip
OPTIONS = TransportOptions(line=LINE, dials_per_minute=1000)
Handler = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Heard:
    """What came out of the inbox, in order, until now."""

    transport: Transport
    inbox: Inbox
    task: "asyncio.Task[None]"
    items: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def frames(self) -> list[bytes]:
        """Payloads of the data channel."""
        return [payload for channel, payload in self.items if channel != LINK]

    @property
    def marks(self) -> list[Mark]:
        """The evidence."""
        return [marks.decode(payload) for channel, payload in self.items if channel == LINK]

    def after(self) -> list[Mark]:
        """The marks from the first CONNECTED on; before it a slow machine has DISCONNECTED ones."""
        return list(dropwhile(lambda mark: mark.event != Event.CONNECTED, self.marks))

    def events(self) -> list[Event]:
        """What these say, repetitions left out."""
        seen = [mark.event for mark in self.after()]
        return [event for i, event in enumerate(seen) if not i or seen[i - 1] != event]

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Take from the inbox until a condition holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    await self.task
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        for batch in await self.inbox.take():
                            assert (batch.source, batch.lane) == ("s", LIVE)
                            self.items += [(batch.channel, payload) for payload in batch.payloads()]


@asynccontextmanager
async def listening(
    tmp_path: Path, subscription: Subscription, options: TransportOptions = OPTIONS, inbox: Inbox | None = None
) -> AsyncIterator[Heard]:
    """Keep a line on a subscription."""
    async with Transport(SystemClock(), tmp_path, options) as transport:
        inbox = inbox or Inbox("s")
        task = asyncio.create_task(transport.stream(subscription, inbox, line="one"))
        await asyncio.sleep(0)
        try:
            yield Heard(transport, inbox, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[Server, str]]:
    """A WebSocket server and its address."""
    async with serve(handler, "127.0.0.1", 0, compression=None, close_timeout=0.1, ping_interval=None) as server:
        yield server, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"


def wanted(url: str, **changes: object) -> Subscription:
    """A subscription of two symbols."""
    base = Subscription(url, "trade", ("BTC-USDT", "ETH-USDT"), sends_per_second=200.0, mute_after=5.0)
    return replace(base, **changes)  # type: ignore[arg-type]


async def stay(connection: ServerConnection) -> None:
    """Say nothing until the client leaves."""
    await connection.wait_closed()


async def test_frames_come_as_received_after_a_mark_that_names_the_line(tmp_path: Path) -> None:
    got: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        got.append(connection.request.headers["User-Agent"])
        got.append(str(await connection.recv()))
        got.append(str(await connection.recv()))
        await connection.send('{"p":"1.0","é":1}')
        await connection.send(b"\x00\xff")
        await stay(connection)

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, hello=("a", "b"))) as heard:
        await heard.until(lambda: len(heard.frames) == 2)
        health = heard.transport.health["one"]
    assert heard.frames == ['{"p":"1.0","é":1}'.encode(), b"\x00\xff"]
    assert heard.items[0][0] == LINK
    first = heard.after()[0]
    assert (first.event, first.line, first.channel, first.symbols) == (
        Event.CONNECTED, "one", "trade", ("BTC-USDT", "ETH-USDT"),
    )  # fmt: skip
    assert got == ["tickhouse", "a", "b"]
    assert (health.state, health.connections, health.attempts, health.error) == ("connected", 1, 0, "")


async def test_a_quiet_line_is_alive_because_the_server_answers_pings(tmp_path: Path) -> None:
    async with serving(stay) as (_, url), listening(tmp_path, wanted(url, mute_after=0.15)) as heard:
        await heard.until(lambda: len(heard.after()) >= 8)
    assert heard.events() == [Event.CONNECTED, Event.ALIVE]
    times = [mark.at for mark in heard.after()]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


@on_both_loops
async def test_a_line_that_says_nothing_at_all_is_mute_and_connected_anew(tmp_path: Path) -> None:
    connections = []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await connection.send("x")
        if len(connections) == 1:
            connection.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(1.0)
            connection.transport.abort()
        await stay(connection)

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, mute_after=0.2)) as heard:
        await heard.until(lambda: heard.frames == [b"x", b"x"])
        await heard.until(lambda: heard.marks[-1].event == Event.ALIVE)
    events = heard.events()
    start = events.index(Event.MUTE)
    assert events[start:] == [Event.MUTE, Event.DISCONNECTED, Event.CONNECTED, Event.ALIVE]
    mute = next(mark for mark in heard.marks if mark.event == Event.MUTE)
    lost = next(mark for mark in heard.after() if mark.event == Event.DISCONNECTED)
    assert mute.at == lost.at == max(m.at for m in heard.marks[: heard.marks.index(mute)])
    assert "sent nothing for 0.2 s" in lost.detail["reason"]


async def test_a_loss_is_marked_at_the_moment_last_heard_and_again_while_down(tmp_path: Path) -> None:
    first = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.send("one")
        await first.wait()
        connection.transport.abort()

    async with contextlib.AsyncExitStack() as stack:
        server, url = await stack.enter_async_context(serving(handler))
        heard = await stack.enter_async_context(listening(tmp_path, wanted(url)))
        await heard.until(lambda: heard.frames == [b"one"])
        server.close(close_connections=False)
        first.set()
        await heard.until(lambda: [m.event for m in heard.after()].count(Event.DISCONNECTED) >= 5)
        health = heard.transport.health["one"]
        lost = [mark for mark in heard.after() if mark.event == Event.DISCONNECTED]
    assert len({mark.at for mark in lost}) == 1
    assert "ended the connection" in lost[0].detail["reason"]
    assert health.state == "down"
    assert health.attempts >= 1
    assert "connection refused; is the server running?" in health.error


@pytest.mark.parametrize("size", [70_000, 3_000_000])
async def test_a_frame_that_is_too_large_ends_the_connection_with_the_reason(tmp_path: Path, size: int) -> None:
    count = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        await connection.send("x" * size if count == 1 else "fine")
        await stay(connection)

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, max_message_bytes=65_536)) as heard:
        await heard.until(lambda: heard.frames == [b"fine"])
    lost = next(mark for mark in heard.after() if mark.event == Event.DISCONNECTED)
    assert "a message was larger than allowed, so we closed it (1009)" in lost.detail["reason"]


@on_both_loops
async def test_a_connection_is_replaced_before_its_lifetime_ends_and_nothing_is_missed(tmp_path: Path) -> None:
    count, number, open_now, most = 0, 0, 0, 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal count, number, open_now, most
        count += 1
        open_now += 1
        most = max(most, open_now)
        with contextlib.suppress(Exception):
            while True:
                await connection.send(str(time.monotonic_ns()))
                await asyncio.sleep(0.005)
        open_now -= 1

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, lifetime=0.4)) as heard:
        await heard.until(lambda: count >= 3 and heard.events().count(Event.CONNECTED) >= 3)
    live = [event for event in heard.events() if event != Event.ALIVE]
    assert set(live) == {Event.CONNECTED}, "no moment was blind"
    assert most == 2, "the new one is made before the old one is broken"
    times = sorted(int(frame) for frame in heard.frames)
    assert max(b - a for a, b in pairwise(times)) < 0.4e9, "less than a connection lives"


@on_both_loops
async def test_a_replaced_connection_is_emptied_however_long_the_inbox_is_full(tmp_path: Path) -> None:
    connections, sent = count(), dict[int, int]()

    async def handler(connection: ServerConnection) -> None:
        number = next(connections)
        with contextlib.suppress(ConnectionClosed):
            for i in count():
                await connection.send(f"{number} {i} ".ljust(5000, "y"))
                sent[number] = i + 1
                await asyncio.sleep(0.002)

    small = Inbox("s", max_messages=20)
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, lifetime=0.4), inbox=small) as heard:
        await heard.until(lambda: len(heard.frames) > 10)
        await asyncio.sleep(3 * LINE.close_timeout)
        assert small.full
        assert len(sent) == 2, "the successor is there and waits"
        await heard.until(lambda: any(frame.startswith(b"1 ") for frame in heard.frames))
        first = [int(frame.split()[1]) for frame in heard.frames if frame.startswith(b"0 ")]
    assert first == list(range(sent[0]))
    assert set(heard.events()) <= {Event.CONNECTED, Event.ALIVE}


async def test_a_server_that_goes_away_on_purpose_is_connected_again_at_once(tmp_path: Path) -> None:
    count = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        await connection.send(f"{count}")
        if count == 1:
            await asyncio.sleep(0.25)
            await connection.close(1012, "restart")
        await stay(connection)

    slow = replace(OPTIONS, line=replace(LINE, retry=Retry(attempts=1000, first=60.0, most=60.0)))
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url), slow) as heard:
        await heard.until(lambda: heard.frames == [b"1", b"2"])
    lost = next(mark for mark in heard.after() if mark.event == Event.DISCONNECTED)
    assert "(1012: restart)" in lost.detail["reason"]


async def test_a_symbol_is_subscribed_anew_without_touching_the_line(tmp_path: Path) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    renew = {"BTC-USDT": ("unsubscribe", "subscribe")}
    async with serving(echo) as (_, url), listening(tmp_path, wanted(url, renew=renew)) as heard:
        await heard.until(lambda: Event.CONNECTED in heard.events())
        assert not heard.transport.renew("ETH-USDT")
        assert heard.transport.renew("BTC-USDT")
        await heard.until(lambda: heard.frames == [b"unsubscribe", b"subscribe"])
    assert Event.DISCONNECTED not in heard.events()


async def test_hello_frames_keep_the_pace(tmp_path: Path) -> None:
    times: list[float] = []

    async def handler(connection: ServerConnection) -> None:
        async for _ in connection:
            times.append(time.monotonic())

    paced = {"hello": tuple("abcde"), "sends_per_second": 20.0}
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, **paced)) as heard:
        await heard.until(lambda: len(times) == 5)
    assert times[-1] - times[0] >= 0.19


async def test_no_network_is_said_in_plain_words(tmp_path: Path) -> None:
    async with listening(tmp_path, wanted("wss://no-such-host.invalid:9443/ws?token=hush")) as heard:
        await heard.until(lambda: heard.transport.health["one"].attempts >= 2)
        health = heard.transport.health["one"]
        await heard.until(lambda: len(heard.marks) >= 2)
    assert health.error == (
        "cannot reach no-such-host.invalid:9443: name not resolved; is there a network, and is the address right?"
    )
    assert health.state == "down"
    assert heard.marks[0].event == Event.DISCONNECTED
    assert heard.marks[0].symbols == ("BTC-USDT", "ETH-USDT")
    assert heard.marks[1].symbols == ()
    assert "hush" not in f"{health} {heard.items}"


@pytest.mark.parametrize(("status", "message"), [(404, "is ws_url right"), (451, "does not serve this place")])
async def test_a_refusal_that_waiting_cannot_heal_ends_the_stream(tmp_path: Path, status: int, message: str) -> None:
    async with serve(stay, "127.0.0.1", 0, process_request=lambda c, _: c.respond(status, "no")) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with listening(tmp_path, wanted(url)) as heard:
            with pytest.raises(Final, match=message):
                await heard.until(lambda: False)
            health = heard.transport.health["one"]
            assert (health.state, message in health.error) == ("stopped", True)


async def test_a_failing_handshake_is_tried_again(tmp_path: Path) -> None:
    tries = []

    def sometimes(connection: ServerConnection, _: object) -> object:
        tries.append(time.monotonic())
        return connection.respond(503, "busy") if len(tries) < 3 else None

    async def handler(connection: ServerConnection) -> None:
        await connection.send("x")
        await stay(connection)

    async with serve(handler, "127.0.0.1", 0, process_request=sometimes) as server:  # type: ignore[arg-type]
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with listening(tmp_path, wanted(url)) as heard:
            await heard.until(lambda: heard.frames == [b"x"])
    assert len(tries) == 3


async def test_a_server_that_hangs_up_at_once_is_not_hammered(tmp_path: Path) -> None:
    tries = []

    async def handler(connection: ServerConnection) -> None:
        tries.append(time.monotonic())
        connection.transport.abort()

    few = replace(OPTIONS, dials_per_minute=5)
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url), few) as heard:
        with contextlib.suppress(TimeoutError):
            await heard.until(lambda: len(tries) > 5, seconds=0.8)
    assert len(tries) == 5


@on_both_loops
async def test_a_full_inbox_makes_the_server_wait_and_loses_nothing(tmp_path: Path) -> None:
    sent = 0
    frame = "y" * 1000

    async def handler(connection: ServerConnection) -> None:
        nonlocal sent
        for sent in range(1, 20_001):
            await connection.send(f"{sent} {frame}")
        await stay(connection)

    small = Inbox("s", max_messages=100)
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, mute_after=0.3), inbox=small) as heard:
        await asyncio.sleep(0.5)
        assert sent < 19_000, "TCP carries the pressure back"
        assert small.full
        await heard.until(lambda: len(heard.frames) == 20_000)
    assert [int(payload.split()[0]) for payload in heard.frames] == list(range(1, 20_001))
    assert set(heard.events()) <= {Event.CONNECTED, Event.ALIVE}, "a waiting reader is not a mute line"


async def test_stopping_leaves_a_last_mark(tmp_path: Path) -> None:
    async with serving(stay) as (_, url):
        async with listening(tmp_path, wanted(url)) as heard:
            await heard.until(lambda: Event.ALIVE in heard.events())
        last = [marks.decode(p) for batch in heard.inbox.drain() for p in batch.payloads()][-1]
    assert (last.event, last.detail) == (Event.DISCONNECTED, {"reason": "stopped"})


async def test_carries_100_000_frames_a_second(tmp_path: Path) -> None:
    total = 60_000
    message = (
        b'{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":3000000000,"p":"43210.12000000","q":"0.00123000","m":true}'
    )
    block = Frame(Opcode.TEXT, message).serialize(mask=False) * 200

    async def handler(connection: ServerConnection) -> None:
        for _ in range(total // 200):
            connection.transport.write(block)
            await asyncio.sleep(0)
        await stay(connection)

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url)) as heard:
        await heard.until(lambda: Event.CONNECTED in heard.events())
        began, seen = time.process_time(), 0
        while seen < total:
            seen += sum(len(batch) for batch in await heard.inbox.take() if batch.channel == "trade")
        rate = total / (time.process_time() - began)
    assert rate > 100_000, f"{rate:.0f} frames a second of processor time, the server's included"


@on_both_loops
async def test_whatever_the_server_does_each_connection_is_whole_and_framed_by_marks(tmp_path: Path) -> None:
    """A server that misbehaves at random (seeded): frames of a connection come in order, without a hole, between its
    CONNECTED mark and the next DISCONNECTED one, and every connection is announced."""
    random, connections = Random(5), count()

    async def handler(connection: ServerConnection) -> None:
        number = next(connections)
        for i in range(random.randrange(60)):
            await connection.send(f"{number} {i}")
            if random.random() < 0.2:
                await asyncio.sleep(random.uniform(0, 0.005))
        fault = random.choice(["abort", "close", "large", "mute", "garbage"])
        if fault == "abort":
            connection.transport.abort()
        elif fault == "close":
            await connection.close(random.choice([1000, 1001, 1011, 1012]))
        elif fault == "large":
            await connection.send("x" * 5000)
        elif fault == "garbage":
            connection.transport.write(b"\xff\xff no frame at all")
        else:
            connection.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)

    subscription = {"mute_after": 0.1, "max_message_bytes": 4096}
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, **subscription)) as heard:
        await heard.until(lambda: heard.events().count(Event.CONNECTED) >= 25, seconds=20)
    runs: list[list[list[int]]] = [[]]
    up = False
    for channel, payload in heard.items:
        if channel == LINK:
            event = marks.decode(payload).event
            assert (event == Event.CONNECTED) != up or event in (Event.DISCONNECTED, Event.MUTE, Event.ALIVE)
            up = event in (Event.CONNECTED, Event.ALIVE)
            runs += [[]] if event == Event.CONNECTED else []
        elif up:
            runs[-1].append([int(part) for part in payload.split()])
        else:
            raise AssertionError("a frame while the line is down")
    for run in runs:
        assert len({number for number, _ in run}) <= 1
        assert [i for _, i in run] == list(range(len(run)))
