"""The WebSocket on a real server: snapshot, changes, resume, conflation, and clients that behave badly."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.surfaces.conftest import Lent
from tests.surfaces.crowd import hello
from tests.surfaces.house import MINUTE, START, MemoryHouse
from tests.surfaces.serving import Served, served
from tickhouse.core.secrets import Secret
from tickhouse.surfaces import MISSED, live

ALL = "topics=bars,ticks,anomalies,coverage"
ONE = "topics=bars&symbols=BTC-USDT&interval=1m"


@pytest.fixture(scope="module", params=[True, False], ids=["wire", "plain"])
def standing(request: Any, four_hours: MemoryHouse) -> Iterator[tuple[Lent, Served]]:
    """A server on a free port, with and without the short cut for frames."""
    lent = Lent(four_hours.fresh())
    with served(lent, wire=request.param) as server:  # type: ignore[arg-type]
        yield lent, server


@pytest.fixture
async def server(standing: tuple[Lent, Served], house: MemoryHouse) -> Served:
    """The server, with nobody listening and a house of this test alone behind it."""
    lent, server = standing
    await until(lambda: not server.hub.clients)
    lent.lend(house)
    server.hub.send_seconds = live.SEND_SECONDS
    server.hub._snapshots.clear()
    return server


@contextlib.asynccontextmanager
async def listening(server: Served, question: str, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"{server.ws}/v1/stream?{question}", compression=None, max_size=None, **options) as socket_:
        yield socket_


async def heard(socket_: ClientConnection, kind: str | None = None) -> dict[str, Any]:
    """The next message (of a kind), within five seconds."""
    async with asyncio.timeout(5):
        while True:
            message: dict[str, Any] = json.loads(await socket_.recv())
            if kind is None or message["type"] == kind:
                return message


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_first_a_snapshot_then_changes(server: Served, house: MemoryHouse) -> None:
    async with listening(server, ONE) as client:
        first = await heard(client)
        assert first["type"] == "snapshot" and first["reset"] is False and first["simulated"] is True
        assert [bar["state"] for bar in first["bars"]] == ["final", "forming"]
        house.tick("BTC-USDT", 70_000.5)
        change = await heard(client)
        assert change["type"] == "changes" and change["seq"] > first["seq"]
        assert [bar["close"] for bar in change["bars"]] == [70_000.5] and "ticks" not in change
        done = house.close("BTC-USDT")
        closed = await heard(client)
        assert [(bar["state"], bar["close"]) for bar in closed["bars"]] == [
            ("final", done["close"]),
            ("forming", done["close"]),
        ]
        corrected = house.correct("BTC-USDT", START, 70_001.0)
        late = await heard(client)
        assert late["bars"][0]["version"] == corrected["version"] and late["bars"][0]["state"] == "corrected"


async def test_frames_take_the_short_cut_where_there_is_one(standing: tuple[Lent, Served], server: Served) -> None:
    async with listening(server, ONE) as client:
        await heard(client)
        protocols = {type(one._wire).__name__ for one in server.hub.clients}
        assert protocols <= {"Wire", "NoneType"} and len(protocols) == 1
        assert (protocols == {"Wire"}) == server.wire


async def test_a_bar_on_the_stream_is_the_bar_of_rest(server: Served, house: MemoryHouse) -> None:
    import httpx

    async with listening(server, ONE) as client, httpx.AsyncClient(base_url=server.url) as rest:
        snapshot = await heard(client)
        assert snapshot["bars"] == (await rest.get("/v1/bars/BTC-USDT?last=2")).json()["data"]
        house.tick("BTC-USDT", 71_000.0)
        change = await heard(client)
        assert change["bars"] == (await rest.get("/v1/bars/BTC-USDT?last=1")).json()["data"]


async def test_only_what_was_asked_for_is_heard(server: Served, house: MemoryHouse) -> None:
    async with listening(server, "topics=ticks&symbols=ETH-USDT") as client:
        snapshot = await heard(client)
        assert [row["symbol"] for row in snapshot["ticks"]] == ["ETH-USDT"]
        house.tick("BTC-USDT", 1.0)
        house.tick("ETH-USDT", 2.0)
        change = await heard(client)
        assert [row["symbol"] for row in change["ticks"]] == ["ETH-USDT"] and "bars" not in change


async def test_without_symbols_everything_is_heard(server: Served, house: MemoryHouse) -> None:
    async with listening(server, ALL) as client:
        snapshot = await heard(client)
        assert {row["symbol"] for row in snapshot["bars"]} == set(house.prices)
        assert snapshot["coverage"] and snapshot["anomalies"]
        odd = {
            "symbol": "BTC-USDT",
            "source": "binance",
            "interval": "1m",
            "start": START,
            "detector": "d",
            "version": 0,
        }
        house.emit("anomalies", [{**odd, "value": 4.0, "threshold": 3.0, "retracted": False, "known_at": START}])
        assert (await heard(client))["anomalies"][0]["detector"] == "d"


async def test_who_resumes_gets_what_was_missed_and_no_snapshot(server: Served, house: MemoryHouse) -> None:
    async with listening(server, ONE) as client:
        seq = (await heard(client))["seq"]
    for price in (1.0, 2.0, 3.0):
        house.tick("BTC-USDT", price)
    closed = house.close("BTC-USDT")
    house.tick("ETH-USDT", 5.0)
    await until(lambda: server.hub.stats()["seq"] > seq)
    async with listening(server, f"{ONE}&resume={seq}") as client:
        back = await heard(client)
        assert back["type"] == "changes" and back["resumed"] is True
        first = back["bars"][0]
        assert (first["state"], first["start"]) == ("final", "2026-01-01T03:59:00Z")
        assert first["close"] == closed["close"] == 3.0
        assert {bar["symbol"] for bar in back["bars"]} == {"BTC-USDT"}
        house.tick("BTC-USDT", 9.0)
        assert (await heard(client))["bars"][0]["close"] == 9.0


@pytest.mark.parametrize("seq", [5, 1 << 60])
async def test_who_was_away_too_long_gets_a_snapshot_and_is_told(server: Served, seq: int) -> None:
    async with listening(server, f"{ONE}&resume={seq}") as client:
        first = await heard(client)
        assert first["type"] == "snapshot" and first["reset"] is True


async def test_nothing_is_lost_between_snapshot_and_changes(server: Served, house: MemoryHouse) -> None:
    """While the house changes all the time, a client that joins ends with the same bars as one that was there before."""
    state: dict[str, dict[str, Any]] = {"early": {}, "late": {}}

    async def follow(name: str) -> None:
        async with listening(server, "topics=bars&symbols=BTC-USDT&interval=1m") as client:
            while True:
                for bar in (await heard(client)).get("bars", []):
                    state[name][bar["start"]] = (bar["state"], bar["close"])

    early = asyncio.create_task(follow("early"))
    await until(lambda: state["early"])
    late = None
    for i in range(60):
        house.tick("BTC-USDT", float(i))
        if i % 5 == 4:
            house.close("BTC-USDT")
        if i == 20:
            late = asyncio.create_task(follow("late"))
        await asyncio.sleep(0.003)
    house.tick("BTC-USDT", 12345.0)
    await until(lambda: all(any(close == 12345.0 for _, close in s.values()) for s in state.values()))
    shared = state["late"].keys() & state["early"].keys()
    assert len(shared) > 5 and all(state["late"][start] == state["early"][start] for start in shared)
    assert sorted(state["early"])[-len(state["late"]) :] == sorted(state["late"])
    for task in (early, late):
        assert task is not None
        task.cancel()
    await asyncio.gather(early, late, return_exceptions=True)  # type: ignore[arg-type]


async def test_a_client_may_change_what_it_hears(server: Served, house: MemoryHouse) -> None:
    async with listening(server, ONE) as client:
        await heard(client, "snapshot")
        await client.send('{"subscribe": {"topics": ["ticks"], "symbols": ["SOL-USDT", "NOPE"]}}')
        snapshot = await heard(client, "snapshot")
        assert snapshot["subscription"]["ticks"] == {"symbols": ["NOPE", "SOL-USDT"], "intervals": None}
        assert snapshot["unknown"] == ["NOPE"] and snapshot["ticks"][0]["symbol"] == "SOL-USDT"
        house.tick("SOL-USDT", 5.0)
        assert "ticks" in await heard(client, "changes")
        await client.send('{"unsubscribe": {"topics": ["bars"]}}')
        assert list((await heard(client, "snapshot"))["subscription"]) == ["ticks"]
        house.tick("BTC-USDT", 5.0)
        house.tick("SOL-USDT", 6.0)
        assert (await heard(client, "changes"))["ticks"][0]["price"] == 6.0
        await client.send('{"ping": {"n": 1}}')
        assert (await heard(client, "pong"))["ping"] == {"n": 1}


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("nonsense", "not JSON"), ("[]", "object"), ('{"a": 1, "b": 2}', "one member"), ('{"listen": {}}', "listen"),
        ('{"subscribe": 5}', "object"), ('{"subscribe": {"topics": ["x"]}}', "coverage"),
        ('{"unsubscribe": {"topics": ["ticks"]}}', "not subscribed"),
        ('{"unsubscribe": {"interval": "1m"}}', "interval"), (b"\xff\xfe", "not JSON"),
        ('{"ping": "' + "x" * 70_000 + '"}', "65536"),
    ],
)  # fmt: skip
async def test_a_bad_message_gets_an_error_and_the_stream_goes_on(
    server: Served, house: MemoryHouse, said: Any, word: str
) -> None:
    async with listening(server, ONE) as client:
        await heard(client)
        await client.send(said)
        error = await heard(client)
        assert error["type"] == "error" and word in error["detail"] and "subscribe" in error["allowed"] and error["seq"]
        house.tick("BTC-USDT", 7.0)
        assert (await heard(client))["type"] == "changes"


@pytest.mark.parametrize(
    ("question", "word"),
    [("topic=bars", "did you mean topics"), ("topics=foo", "foo"), ("interval=x", "1m"), ("resume=x", "whole number"),
     ("last=900", "500"), ("last=100", "20 of each"), ("symbols=" + "a" * 40, "AAPL")],
)  # fmt: skip
async def test_a_bad_question_is_told_why_and_closed(server: Served, question: str, word: str) -> None:
    async with listening(server, question) as client:
        error = await heard(client)
        assert error["type"] == "error" and word in error["detail"]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await heard(client)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


async def test_too_many_clients_are_told_to_come_again(house: MemoryHouse) -> None:
    with served(house, max_clients=1) as server:
        async with listening(server, ONE) as client:
            await heard(client)
            async with listening(server, ONE) as other:
                assert "try again later" in (await heard(other))["detail"]
        await until(lambda: not server.hub.clients)
        async with listening(server, ONE) as client:
            assert (await heard(client))["type"] == "snapshot"


async def test_a_stream_needs_the_key_and_its_own_page(house: MemoryHouse) -> None:
    with served(house, key=Secret("k1")) as server:
        for question, options in ((ONE, {}), (f"{ONE}&key=k2", {}), (ONE, {"origin": "http://evil.example"})):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with listening(server, question, **options):
                    pass
            assert refused.value.response.status_code == 401
        for question, options in (
            (f"{ONE}&key=k1", {}), (ONE, {"additional_headers": {"X-API-Key": "k1"}}),
            (f"{ONE}&key=k1", {"origin": "http://other.example"}), (f"{ONE}&key=k1", {"origin": server.url}),
        ):  # fmt: skip
            async with listening(server, question, **options) as client:
                assert (await heard(client))["type"] == "snapshot"


async def test_a_page_of_another_site_may_not_listen(house: MemoryHouse) -> None:
    with served(house) as server:
        with pytest.raises(websockets.InvalidStatus):
            async with listening(server, ONE, origin="http://evil.example"):
                pass
        async with listening(server, ONE, origin=server.url) as client:
            await heard(client)


async def test_a_heartbeat_comes_when_nothing_else_does(house: MemoryHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    with served(house) as server:
        async with listening(server, ONE) as client:
            first = await heard(client)
            beat = await heard(client)
            assert beat["type"] == "heartbeat" and beat["seq"] >= first["seq"] and beat["at"].endswith("Z")


class Stalled:
    """A client that asks for the stream and then reads nothing."""

    def __init__(self, server: Served, question: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.sendall(hello(server.port, question))

    def read(self, seconds: float = 5.0) -> list[dict[str, Any]]:
        """Everything that waits, read at last, until nothing comes for a while."""
        self.socket.settimeout(0.5)
        data, end = b"", time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < end and (part := self.socket.recv(1 << 20)):
                data += part
        return list(_frames(data.partition(b"\r\n\r\n")[2]))


def _frames(data: bytes) -> Iterator[dict[str, Any]]:
    while len(data) > 2:
        size, offset = data[1] & 0x7F, 2
        if size == 126:
            size, offset = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, offset = int.from_bytes(data[2:10], "big"), 10
        if data[0] == 0x81 and len(data) >= offset + size:
            yield json.loads(data[offset : offset + size])
        data = data[offset + size :]


def flood(house: MemoryHouse, server: Served, moments: int = 400, symbols: int = 200) -> list[dict[str, Any]]:
    """Many moments, each with a forming bar of many symbols, and a closed one of the first; returns the closed ones."""
    closed = []
    base = house.forming_rows["BTC-USDT", "1m"]
    for i in range(moments):
        rows = [
            {**base, "symbol": f"S{n}", "close": float(i), "known_at": base["known_at"] + i} for n in range(symbols)
        ]
        done = {**base, "symbol": "S0", "start": START + i * MINUTE, "state": "final", "close": float(i)}
        rows.append(done)
        rows.append({**base, "symbol": "S0", "start": START + (i + 1) * MINUTE, "close": float(i)})
        closed.append(done)
        before = server.hub.stats()["seq"]
        house.emit("bars", rows)
        while server.hub.stats()["seq"] == before:
            time.sleep(0.0005)
    return closed


async def test_a_slow_reader_gets_the_newest_forming_and_every_closed_bar(server: Served, house: MemoryHouse) -> None:
    stalled = Stalled(server, "topics=bars")
    await until(lambda: server.hub.stats()["filters"] == 1)
    closed = await asyncio.to_thread(flood, house, server)
    messages = await asyncio.to_thread(stalled.read)
    assert messages[0]["type"] == "snapshot" and not any(m.get("reset") for m in messages)
    bars = [bar for message in messages[1:] for bar in message.get("bars", [])]
    final = [bar["close"] for bar in bars if bar["state"] == "final"]
    assert final == [row["close"] for row in closed]
    forming = [bar for bar in bars if bar["state"] == "forming" and bar["symbol"] == "S7"]
    assert forming[-1]["close"] == 399.0 and len(forming) < 400
    assert [m["seq"] for m in messages] == sorted(m["seq"] for m in messages)
    stalled.socket.close()


async def test_who_falls_too_far_behind_starts_anew(
    server: Served, house: MemoryHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickhouse.surfaces._client.MOST_FIRM", 50)
    stalled = Stalled(server, "topics=bars")
    await until(lambda: server.hub.stats()["filters"] == 1)
    await asyncio.to_thread(flood, house, server)
    messages = await asyncio.to_thread(stalled.read)
    again = [m for m in messages if m["type"] == "snapshot"]
    assert len(again) >= 2 and again[0]["reset"] is False and again[-1]["reset"] is True
    assert {bar["symbol"] for bar in again[-1]["bars"]} == set(house.prices)
    stalled.socket.close()


async def test_a_stalled_client_harms_no_other_and_is_cut_off(server: Served, house: MemoryHouse) -> None:
    server.hub.send_seconds = 1.0
    stalled = [Stalled(server, "topics=bars") for _ in range(3)]
    await until(lambda: len(server.hub.clients) == 3)
    async with listening(server, "topics=bars&symbols=S7") as client:
        await heard(client)
        flooding = asyncio.create_task(asyncio.to_thread(flood, house, server))
        newest, slowest, last = 0.0, 0.0, time.perf_counter()
        while newest < 399.0:
            for bar in (await heard(client)).get("bars", ()):
                newest = bar["close"]
            now = time.perf_counter()
            slowest, last = max(slowest, now - last), now
        await flooding
        assert slowest < 0.5
        await until(lambda: len(server.hub.clients) == 1)
    for one in stalled:
        one.socket.close()


async def test_a_house_that_cannot_answer_says_so_and_closes(server: Served, house: MemoryHouse) -> None:
    from tests.surfaces.house import busy

    house.broken = busy()
    async with listening(server, ONE) as client:
        assert "being moved" in (await heard(client))["detail"]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await heard(client)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013


async def test_more_than_can_be_sent_resets_everybody(house: MemoryHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the loop cannot keep up, memory stays bounded: what waits is given up, and everybody gets a new snapshot."""
    monkeypatch.setattr(live, "MOST_PENDING", 100)
    with served(house) as server:
        async with listening(server, ONE) as client:
            await heard(client)
            house.emit("bars", [house.forming_rows["BTC-USDT", "1m"]] * 500)
            again = await heard(client)
            assert again["type"] == "snapshot" and again["reset"] is True


async def test_where_the_house_missed_something_everybody_gets_a_new_snapshot(
    server: Served, house: MemoryHouse
) -> None:
    async with listening(server, ONE) as client:
        await heard(client)
        house.emit(MISSED, [{"symbol": ""}])
        again = await heard(client)
        assert again["type"] == "snapshot" and again["reset"] is True


async def test_the_server_stops_while_clients_listen(house: MemoryHouse) -> None:
    with served(house) as server:
        client = await connect(f"{server.ws}/v1/stream?{ONE}")
        await heard(client)
    with pytest.raises(websockets.ConnectionClosed):
        await heard(client)
    assert house.listeners == []
