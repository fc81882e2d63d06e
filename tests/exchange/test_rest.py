"""REST: the same trades as the socket, in pages; bars of them; refusals; weights and bans."""

import itertools
import json

import httpx
import pytest

from tests.exchange.talk import START, Script, ask, data, dial, hear, passed, served, streams
from tickhouse.core.clock import ManualClock
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.market import Market

MS = 1000


async def heard(exchange, clock, seconds: float, topic: str = "trade") -> list[dict]:
    async with dial(streams(exchange, topic)) as ws:
        clock.move(seconds)
        return [data(frame) for frame in await hear(ws)]


async def pages(exchange, path: str, key: str, start: int, **params) -> list[dict]:
    """All pages from an id on."""
    found: list[dict] = []
    async with httpx.AsyncClient(base_url=exchange.url, verify=False) as http:
        while True:
            page = (await http.get(f"/api/v3/{path}", params={**params, "fromId": start})).json()
            found += page
            if not page:
                return found
            start = page[-1][key] + 1


async def test_pages_of_trades_hold_what_the_socket_sent():
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(weight=10**9, ping_every=1e9)) as exchange:
        sent = await heard(exchange, clock, 10)
        assert len(sent) == len(exchange.truth()) > 1000
        for symbol in {one["s"] for one in sent}:
            mine = [one for one in sent if one["s"] == symbol]
            assert [b["t"] - a["t"] for a, b in itertools.pairwise(mine)] == [1] * (len(mine) - 1)
            rest = await pages(exchange, "historicalTrades", "id", mine[0]["t"], symbol=symbol, limit=37)
            assert [(r["id"], r["price"], r["qty"], r["time"], r["isBuyerMaker"]) for r in rest] == [
                (m["t"], m["p"], m["q"], m["T"], m["m"]) for m in mine
            ]


async def test_pages_of_aggregate_trades_hold_what_the_socket_sent():
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(weight=10**9, ping_every=1e9)) as exchange:
        sent = [one for one in await heard(exchange, clock, 10, "aggTrade") if one["s"] == "BTCUSDT"]
        keys = ("a", "p", "q", "f", "l", "T", "m", "M")
        rest = await pages(exchange, "aggTrades", "a", sent[0]["a"], symbol="BTCUSDT", limit=50)
        assert rest == [{key: one[key] for key in keys} for one in sent]
        assert any(one["l"] > one["f"] for one in rest)
        assert all(b["f"] == a["l"] + 1 for a, b in itertools.pairwise(rest))
        start, end = rest[20]["T"], rest[80]["T"]
        part = (
            await ask(exchange, "/api/v3/aggTrades", symbol="BTCUSDT", startTime=start, endTime=end, limit=1000)
        ).json()
        assert part == [one for one in rest if start <= one["T"] <= end]
        newest = (await ask(exchange, "/api/v3/aggTrades", symbol="BTCUSDT", limit=3)).json()
        assert newest == rest[-3:]


async def test_newest_trades_are_the_last_ones():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        sent = [one["t"] for one in await heard(exchange, clock, 3) if one["s"] == "ETHUSDT"]
        rest = (await ask(exchange, "/api/v3/trades", symbol="ETHUSDT", limit=5)).json()
        assert [one["id"] for one in rest] == sent[-5:]


async def test_klines_are_bars_of_the_trades_sent():
    clock = ManualClock(START)
    async with served(Market(seed=9, symbols=2, rate=50), clock) as exchange:
        sent = [one for one in await heard(exchange, clock, 150) if one["s"] == "BTCUSDT"]
        rest = (await ask(exchange, "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=START // MS)).json()
        assert [row[0] for row in rest] == [START // MS + 60_000 * n for n in range(3)]
        for row in rest:
            inside = [one for one in sent if row[0] <= one["T"] <= row[6]]
            prices = [float(one["p"]) for one in inside]
            assert [float(value) for value in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
            assert float(row[5]) == pytest.approx(sum(float(one["q"]) for one in inside), rel=1e-12)
            assert row[8] == len(inside)
            assert float(row[7]) == pytest.approx(sum(float(one["p"]) * float(one["q"]) for one in inside), rel=1e-12)
            bought = sum(float(one["q"]) for one in inside if not one["m"])
            assert float(row[9]) == pytest.approx(bought, rel=1e-9)


async def test_a_day_of_bars_comes_before_the_market_and_joins_it():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        await passed(exchange, clock, 66)
        rows = (await ask(exchange, "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=1000)).json()
        assert len(rows) == 1000 and rows[-1][0] == START // MS + 60_000
        assert all(b[0] - a[0] == 60_000 for a, b in itertools.pairwise(rows))
        first = (await ask(exchange, "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=0, limit=2)).json()
        assert first[0][0] == START // MS - 24 * 3600_000
        hours = (await ask(exchange, "/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=3)).json()
        assert len(hours) == 3 and all(float(row[2]) >= float(row[3]) > 0 for row in hours)


async def test_idle_minutes_are_flat_bars_without_volume():
    clock = ManualClock(START)
    rows = [(0, 1, 500, 10, 5, 0, 1), (0, 2, 700, 10, 181_000, 0, 2)]
    async with served(Script(rows), clock) as exchange:
        await passed(exchange, clock, 200)
        bars = (await ask(exchange, "/api/v3/klines", symbol="BTCUSDT", interval="1m")).json()
    assert [row[8] for row in bars] == [1, 0, 0, 1]
    assert bars[1][1:6] == ["5.00000000"] * 4 + ["0.00000000"]


@pytest.mark.parametrize(
    ("path", "params", "code", "said"),
    [
        ("klines", {"symbol": "NOPE", "interval": "1m"}, -1121, "Invalid symbol."),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120, "Invalid interval."),
        ("klines", {"symbol": "BTCUSDT"}, -1102, "Mandatory parameter 'interval' was not sent"),
        ("trades", {}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ("trades", {"symbol": "btcusdt"}, -1100, "Illegal characters found in parameter 'symbol'"),
        ("trades", {"symbol": "BTCUSDT", "limit": "x"}, -1100, "Illegal characters found in parameter 'limit'"),
        ("trades", {"symbol": "BTCUSDT", "limit": ""}, -1105, "Parameter 'limit' was empty."),
        ("trades", {"symbol": "BTCUSDT", "limit": 0}, -1130, "Data sent for parameter 'limit' is not valid."),
        ("trades", {"symbol": "BTCUSDT", "what": 1}, -1104, "read '1' parameter(s) but was sent '2'."),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 1}, -1128, "Combination"),
        ("ticker/price", {"symbols": "BTCUSDT"}, -1100, "Illegal characters found in parameter 'symbols'"),
    ],
)
async def test_a_wrong_request_is_refused_in_binances_words(path, params, code, said):
    async with served() as exchange:
        answer = await ask(exchange, f"/api/v3/{path}", **params)
    assert answer.status_code == 400
    assert answer.json()["code"] == code and said in answer.json()["msg"]
    assert list(answer.json()) == ["code", "msg"]


async def test_other_paths_and_methods_are_not_found():
    async with served() as exchange, httpx.AsyncClient(base_url=exchange.url, verify=False) as http:
        assert (await http.get("/api/v3/depth")).status_code == 404
        assert (await http.get("/")).status_code == 404
        assert (await http.post("/api/v3/ping", content=b"{}")).status_code == 405
        assert (await http.get("/api/v3/ping")).json() == {}


async def test_prices_of_one_of_some_and_of_all():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        sent = await heard(exchange, clock, 5)
        last = {one["s"]: one["p"] for one in sent}
        assert (await ask(exchange, "/api/v3/ticker/price", symbol="BTCUSDT")).json()["price"] == last["BTCUSDT"]
        assert len((await ask(exchange, "/api/v3/ticker/price")).json()) == 8
        two = (await ask(exchange, "/api/v3/ticker/price", symbols='["BTCUSDT","ETHUSDT"]')).json()
        assert [one["symbol"] for one in two] == ["BTCUSDT", "ETHUSDT"]


async def test_a_page_has_at_most_a_thousand_rows():
    clock = ManualClock(START)
    async with served(Market(seed=1, symbols=1, rate=2000), clock) as exchange:
        await passed(exchange, clock, 2)
        for limit, rows in ((None, 500), (1000, 1000), (5000, 1000)):
            params = {} if limit is None else {"limit": limit}
            assert len((await ask(exchange, "/api/v3/trades", symbol="BTCUSDT", **params)).json()) == rows


async def test_weights_are_counted_by_the_minute_and_too_many_are_refused_then_banned():
    clock = ManualClock(START)
    async with served(clock=clock, limits=Limits(weight=60, patience=2, ban=120)) as exchange:
        async with httpx.AsyncClient(base_url=exchange.url, verify=False) as http:
            used = []
            for path in (
                "trades?symbol=BTCUSDT",
                "klines?symbol=BTCUSDT&interval=1m",
                "aggTrades?symbol=BTCUSDT",
                "ping",
                "exchangeInfo",
            ):
                used.append(int((await http.get(f"/api/v3/{path}")).headers["X-MBX-USED-WEIGHT-1M"]))
            assert used == [25, 27, 31, 32, 52]
            clock.move(10)
            refused = [await http.get("/api/v3/exchangeInfo") for _ in range(4)]
            assert [answer.status_code for answer in refused] == [429, 429, 418, 418]
            assert [answer.headers["Retry-After"] for answer in refused] == ["50", "50", "120", "120"]
            clock.move(119)
            assert (await http.get("/api/v3/ping")).status_code == 418
            clock.move(2)
            assert (await http.get("/api/v3/ping")).status_code == 200
        assert exchange.stats["refused"] == 5


def test_bans_grow_to_three_days():
    doorman, now = Doorman(Limits(weight=1, patience=0)), START
    waits = []
    for _ in range(14):
        doorman.weigh("a", 1, now)
        verdict = doorman.weigh("a", 5, now)
        waits.append(verdict.wait)
        now = verdict.until
    assert waits[:3] == [120, 240, 480] and waits[-1] == 3 * 86_400
    assert doorman.weigh("b", 1, now).status == 200


async def test_everything_says_that_it_is_simulated():
    async with served() as exchange:
        for path in ("/api/v3/ping", "/nothing", "/_control/about"):
            assert (await ask(exchange, path)).headers["X-Tickhouse-Simulated"] == "1"
        assert (await ask(exchange, "/_control/about")).json()["simulated"] is True
        async with dial(f"{exchange.ws_url}/ws") as ws:
            assert ws.response.headers["X-Tickhouse-Simulated"] == "1"


async def test_bytes_that_are_no_request_are_refused_and_the_next_client_is_served():
    import asyncio

    async with served() as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b" 400 " in await reader.read()
        writer.close()
        assert (await ask(exchange, "/api/v3/ping")).status_code == 200


async def test_several_requests_on_one_connection_are_answered_in_order():
    import asyncio

    async with served() as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        one = "GET /api/v3/trades?symbol={}&limit=0 HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(
            (
                one.format("NOPE")
                + one.format("BTCUSDT")
                + "GET /api/v3/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            ).encode()
        )
        text = (await reader.read()).decode()
        writer.close()
    assert text.count("HTTP/1.1") == 3
    assert text.index("-1121") < text.index("-1130") < text.rindex("{}")
    assert json.loads(text[text.rindex("{") :]) == {}
