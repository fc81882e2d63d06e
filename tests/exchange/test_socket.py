"""The socket: subscriptions, acks and errors, pings, the end of a connection's life, slow clients, pacing."""

import asyncio
import itertools
import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.exchange.talk import EASY, START, Script, ask, data, dial, hear, passed, served, streams, tell, until
from tickhouse.core.clock import ManualClock, SystemClock
from tickhouse.core.errors import SettingsError
from tickhouse.exchange.limits import Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange


async def said(ws, **message) -> dict:
    """The answer to a control message, past data frames."""
    await ws.send(json.dumps(message))
    while True:
        answer = json.loads(await asyncio.wait_for(ws.recv(), 5))
        if "e" not in answer and "stream" not in answer:
            return answer


async def test_raw_and_combined_streams_carry_the_same_payload():
    clock = ManualClock(START)
    async with (
        served(clock=clock) as exchange,
        dial(f"{exchange.ws_url}/ws/btcusdt@trade") as raw,
        dial(streams(exchange, count=1)) as combined,
    ):
        clock.move(3)
        bare, wrapped = await hear(raw), [json.loads(frame) for frame in await hear(combined)]
    assert [json.loads(frame) for frame in bare] == [one["data"] for one in wrapped]
    assert {one["stream"] for one in wrapped} == {"btcusdt@trade"} and len(bare) > 100


async def test_subscribing_unsubscribing_and_listing():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(f"{exchange.ws_url}/ws") as ws:
        names = ["btcusdt@trade", "ethusdt@aggTrade"]
        assert await said(ws, method="SUBSCRIBE", params=names, id=1) == {"result": None, "id": 1}
        clock.move(2)
        assert {(one["e"], one["s"]) for one in map(data, await hear(ws))} == {
            ("trade", "BTCUSDT"),
            ("aggTrade", "ETHUSDT"),
        }
        assert await said(ws, method="LIST_SUBSCRIPTIONS", id=2) == {"result": names, "id": 2}
        assert await said(ws, method="UNSUBSCRIBE", params=names[:1], id="three") == {"result": None, "id": "three"}
        clock.move(2)
        assert {one["s"] for one in map(data, await hear(ws))} == {"ETHUSDT"}
        assert await said(ws, method="SUBSCRIBE", params=["nope@trade", "btcusdt@depth"], id=4) == {
            "result": None,
            "id": 4,
        }


async def test_the_wrapping_is_a_property():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(f"{exchange.ws_url}/ws/btcusdt@trade") as ws:
        assert await said(ws, method="GET_PROPERTY", params=["combined"], id=1) == {"result": False, "id": 1}
        assert await said(ws, method="SET_PROPERTY", params=["combined", True], id=2) == {"result": None, "id": 2}
        clock.move(1)
        assert all(json.loads(frame)["stream"] == "btcusdt@trade" for frame in await hear(ws))


@pytest.mark.parametrize(
    ("text", "code", "words", "number"),
    [
        ('{"method":"SUBSCRIBE","params":["a@b"],"id":{}}', 2, "request ID must be an unsigned integer", None),
        ('{"method":"SUBSCRBE","params":[],"id":7}', 2, "unknown variant `SUBSCRBE`", 7),
        ('{"params":[],"id":7}', 2, "missing field `method`", None),
        ('{"method":"SUBSCRIBE","params":[1],"id":7}', 2, "stream names must be strings", 7),
        ('{"method":"SUBSCRIBE","params":7,"id":7}', 2, "sequence", 7),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":7}', 1, "expected Boolean", 7),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":7}', 0, "Unknown property", 7),
        ("hello", 3, "Invalid JSON", None),
    ],
)
async def test_a_refused_control_message_is_answered_with_code_and_msg(text, code, words, number):
    async with served() as exchange, dial(f"{exchange.ws_url}/ws") as ws:
        await ws.send(text)
        answer = json.loads(await ws.recv())
    assert answer["code"] == code and words in answer["msg"] and answer.get("id") == number


async def test_too_many_streams_and_unknown_addresses_are_refused():
    async with served(limits=Limits(streams=3)) as exchange:
        for path, status in (("/ws/a@trade/b@trade/c@trade/d@trade", 400), ("/what", 404)):
            with pytest.raises(InvalidStatus) as refused:
                await dial(exchange.ws_url + path)
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["X-Tickhouse-Simulated"] == "1"
        async with dial(f"{exchange.ws_url}/ws/btcusdt@trade") as ws:
            answer = await said(ws, method="SUBSCRIBE", params=["a@trade", "b@trade", "c@trade"], id=1)
            assert answer["code"] == 2


async def test_too_many_connections_are_refused_for_a_while():
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(dials=2)) as exchange:
        for _ in range(2):
            await (await dial(f"{exchange.ws_url}/ws")).close()
        with pytest.raises(InvalidStatus) as refused:
            await dial(f"{exchange.ws_url}/ws")
        assert refused.value.response.status_code == 429 and "Retry-After" in refused.value.response.headers
        clock.move(301)
        await (await dial(f"{exchange.ws_url}/ws")).close()
        assert exchange.counts()["dials_refused"] == 1


async def test_a_client_that_says_too_much_is_cut_off():
    async with served(limits=Limits(messages_a_second=5)) as exchange, dial(f"{exchange.ws_url}/ws") as ws:
        with pytest.raises(ConnectionClosed):
            for number in range(50):
                await ws.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
                await ws.recv()
        assert exchange.stats["noisy_clients"] == 1


async def test_pings_come_and_a_client_without_pongs_is_cut_off():
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(ping_every=20, pong_within=60, messages_a_second=1000)) as exchange:
        async with dial(f"{exchange.ws_url}/ws") as ws:
            for _ in range(4):
                clock.move(21)
                await asyncio.sleep(0.06)
            assert exchange.stats["pings"] == 4
            assert (await said(ws, method="LIST_SUBSCRIPTIONS", id=1))["result"] == []
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"101" in await reader.readline()
        for _ in range(5):
            clock.move(21)
            await asyncio.sleep(0.04)
        await until(lambda: exchange.stats["mute_clients"] == 1)
        writer.close()


async def test_a_connection_ends_at_its_age_with_a_notice_before():
    """24 hours, by the clock; the notice comes ten seconds earlier; the client can connect again at once."""
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(ping_every=1e9), source=Script([])) as exchange:
        async with dial(f"{exchange.ws_url}/ws/btcusdt@trade") as ws:
            clock.move(86_385)
            assert await hear(ws) == []
            clock.move(6)
            assert [data(frame)["e"] for frame in await hear(ws)] == ["serverShutdown"]
            clock.move(10)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(ws.recv(), 5)
            assert closed.value.rcvd.code == 1001
        assert exchange.stats["expired"] == 1
        async with dial(f"{exchange.ws_url}/ws/btcusdt@trade"):
            assert exchange.stats["connections"] == 2


async def test_the_age_and_the_end_can_be_asked_for_while_it_runs():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(f"{exchange.ws_url}/stream?streams=btcusdt@trade") as ws:
        assert (await tell(exchange, "shutdown")).json() == {"told": 1}
        assert json.loads(await ws.recv())["stream"] == "!serverShutdown"
        assert (await tell(exchange, "limits", lifetime=5)).json()["lifetime"] == 5
        clock.move(6)
        await hear(ws)
        assert ws.close_code == 1001


async def test_after_a_disconnect_the_missing_trades_are_in_rest():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        seen = []
        for _ in range(3):
            async with dial(streams(exchange, count=1)) as ws:
                clock.move(2)
                seen += [data(frame)["t"] for frame in await hear(ws)]
                await tell(exchange, "disconnect")
                assert await hear(ws) == [] and ws.close_code == 1006
            await passed(exchange, clock, 1)
        missing = sorted(set(range(seen[0], seen[-1] + 1)) - set(seen))
        assert len(missing) > 20
        for start, stop in ((missing[0], missing[0] + 5), (missing[-6], missing[-1])):
            rest = (await ask(exchange, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=start, limit=6)).json()
            assert [one["id"] for one in rest] == list(range(start, stop + 1))
        assert exchange.account.counts["disconnects"] == 3


async def test_a_client_that_does_not_read_is_cut_off_and_harms_no_other():
    clock = ManualClock(START)
    limits = Limits(buffer=1 << 20, ping_every=1e9)
    async with served(Market(seed=1, symbols=2, rate=20_000), clock, limits=limits) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port, limit=1 << 12)
        writer.write(
            b"GET /stream?streams=btcusdt@trade/ethusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readline()
        async with dial(streams(exchange)) as ws:
            good, got = exchange.clients[2], 0
            while not exchange.stats["slow_clients"]:
                clock.move(0.2)
                got += len(await hear(ws, 0.05))
                assert got < 2_000_000
            got += len(await hear(ws))
            assert got == (exchange.truth().time > START).sum() and good.socket.open
        writer.close()


async def test_many_clients_get_each_what_they_asked_for():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        names = [one.symbol.lower() for one in exchange.history.instruments]
        clients = [await dial(f"{exchange.ws_url}/ws/{name}@trade") for name in names]
        clock.move(3)
        for name, ws in zip(names, clients, strict=True):
            found = {data(frame)["s"] for frame in await hear(ws, 0.03)}
            assert found == {name.upper()}
            await ws.close()
        await until(lambda: not exchange.clients)


async def test_klines_tell_open_bars_every_two_seconds_and_closed_ones_once():
    clock = ManualClock(START + 50_000_000)
    async with served(clock=clock) as exchange, dial(f"{exchange.ws_url}/ws/btcusdt@kline_1m") as ws:
        found = []
        for _ in range(20):
            clock.move(1)
            found += [data(frame)["k"] for frame in await hear(ws, 0.03)]
        closed = [k for k in found if k["x"]]
        assert [k["t"] for k in closed] == [START // 1000]
        truth = exchange.history.bars("BTC-USDT", "1m", START, START + 60_000_000)[0]
        assert (closed[0]["f"], closed[0]["L"], closed[0]["n"]) == (
            truth["first_id"],
            truth["last_id"],
            truth["trades"],
        )
        assert float(closed[0]["v"]) == truth["volume"] and float(closed[0]["c"]) == truth["close"]
        assert 8 <= len(found) - 1 <= 11
        assert all(b["L"] >= a["L"] for a, b in itertools.pairwise(found))


async def test_nothing_is_lost_when_it_runs_late():
    """A clock that leaps (a machine that was busy): everything due is sent, once and in order."""
    clock = ManualClock(START)
    async with served(Market(seed=1, symbols=3, rate=2000), clock) as exchange, dial(streams(exchange)) as ws:
        got = []
        for leap in (0.01, 7.0, 0.5):
            clock.move(leap)
            got += [data(frame) for frame in await hear(ws)]
        truth = exchange.truth()
        assert len(got) == len(truth) > 10_000
        assert [one["T"] for one in got] == sorted(one["T"] for one in got)
        assert exchange.pump.worst > 5


async def test_the_same_seed_and_clock_send_the_same_bytes():
    async def run() -> list[bytes]:
        clock = ManualClock(START)
        async with served(clock=clock) as exchange, dial(streams(exchange)) as ws:
            clock.move(4)
            return await hear(ws)

    first, second = await run(), await run()
    assert first == second and len(first) > 300


async def test_in_real_time_trades_come_when_they_happen():
    """At 20,000 a second: gapless, and never far behind the clock."""
    clock = SystemClock()
    async with served(Market(seed=1, symbols=50, rate=20_000), clock) as exchange, dial(streams(exchange)) as ws:
        last: dict[str, int] = {}
        async with asyncio.timeout(30):
            for _ in range(10_000):
                one = data(await ws.recv(decode=False))
                assert one["t"] == last.get(one["s"], one["t"] - 1) + 1
                assert clock.now() >= one["T"] * 1000
                last[one["s"]] = one["t"]
        assert exchange.pump.lag < 2


async def test_a_taken_port_is_said_in_one_sentence():
    async with served() as exchange:
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{exchange.port}"):
            await Exchange(Market(symbols=1), SystemClock(), port=exchange.port).start()


async def test_it_stops_cleanly_with_clients_and_requests_open():
    exchange = Exchange(Market(symbols=2), SystemClock(), limits=EASY)
    await exchange.start()
    ws = await dial(streams(exchange))
    http = httpx.AsyncClient(base_url=exchange.url, verify=False)
    await http.get("/api/v3/ping")
    await exchange.stop()
    await hear(ws)
    assert ws.close_code in (1001, 1006)
    await http.aclose()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", exchange.port)
