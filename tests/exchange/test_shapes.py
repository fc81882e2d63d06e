"""Messages have the shape of recorded ones: the same keys in the same order, the same types and decimals."""

import json

import pytest

from tests.exchange.talk import START, Script, ask, data, dial, hear, one_shape, passed, served, shape
from tickhouse.core.clock import ManualClock

ROWS = [
    (0, 71, 6_075_960, 841_000, 10, 0, 50), (0, 72, 6_075_960, 189_000, 10, 0, 50), (0, 73, 6_075_959, 37, 12, 1, 51),
    (1, 9, 310_001, 5, 20, 1, 7), (0, 74, 6_075_961, 100, 61_000, 0, 52),
]  # fmt: skip
"""Two fills of one order, then single trades; the last one is in the next minute."""
TRADE = (
    '{"e":"trade","E":1767225600011,"s":"BTCUSDT","t":71,"p":"60759.60000000","q":"8.41000000",'
    '"T":1767225600010,"m":false,"M":true}'
)
AGGREGATE = (
    '{"e":"aggTrade","E":1767225600011,"s":"BTCUSDT","a":50,"p":"60759.60000000","q":"10.30000000","f":71,"l":72,'
    '"T":1767225600010,"m":false,"M":true}'
)
KLINE = (
    '{"e":"kline","E":1767225662000,"s":"BTCUSDT","k":{"t":1767225600000,"T":1767225659999,"s":"BTCUSDT","i":"1m","f":71,"L":73,'
    '"o":"60759.60000000","c":"60759.59000000","h":"60759.60000000","l":"60759.59000000","v":"10.30037000","n":3,"x":true,'
    '"q":"625846.36104830","V":"10.30000000","Q":"625823.88000000","B":"0"}}'
)


async def frames(topic: str, wrapped: bool = False) -> list[bytes]:
    clock = ManualClock(START)
    async with served(Script(ROWS), clock) as exchange:
        path = f"/stream?streams=btcusdt@{topic}" if wrapped else f"/ws/btcusdt@{topic}"
        async with dial(exchange.ws_url + path) as ws:
            clock.move(62)
            return await hear(ws)


async def test_a_trade_byte_for_byte():
    found = await frames("trade")
    assert found[0].decode() == TRADE and len(found) == 4
    wrapped = await frames("trade", wrapped=True)
    assert wrapped[0].decode() == '{"stream":"btcusdt@trade","data":' + TRADE + "}"


async def test_an_aggregate_trade_byte_for_byte():
    found = await frames("aggTrade")
    assert found[0].decode() == AGGREGATE
    assert [(m["a"], m["f"], m["l"]) for m in map(data, found)] == [(50, 71, 72), (51, 73, 73), (52, 74, 74)]


async def test_a_closed_kline_byte_for_byte_and_then_the_open_one():
    closed, now_open = await frames("kline_1m")
    assert closed.decode() == KLINE
    k = data(now_open)["k"]
    assert (k["x"], k["f"], k["L"], k["n"], k["t"]) == (False, 74, 74, 1, START // 1000 + 60_000)


async def test_times_in_microseconds_when_asked_for():
    clock = ManualClock(START)
    async with (
        served(Script(ROWS), clock) as exchange,
        dial(f"{exchange.ws_url}/ws/btcusdt@trade?timeUnit=MICROSECOND") as ws,
    ):
        clock.move(1)
        assert data((await hear(ws))[0])["T"] == START + 10_000


async def test_frames_have_the_shape_of_recorded_ones(recordings):
    folder = recordings / "binance" / "ws"
    recorded: dict[str, list] = {"aggTrade": [], "kline_1m": []}
    for path in sorted(folder.glob("combined*.ndjson")):
        for line in path.read_text().splitlines():
            message = json.loads(json.loads(line)["raw"])
            topic = message["stream"].partition("@")[2]
            if topic in recorded:
                recorded[topic].append(message)
    for topic, messages in recorded.items():
        ours = [json.loads(frame) for frame in await frames(topic, wrapped=True)]
        assert one_shape(ours) == one_shape(messages)
    # The order ids `b` and `a` went from trade frames in 2024.
    trade = json.loads((folder / "trade_ETHUSDT_2021-12-12.json").read_text())
    trade["data"] = {key: value for key, value in trade["data"].items() if key not in ("b", "a")}
    assert one_shape([json.loads(frame) for frame in await frames("trade", wrapped=True)]) == shape(trade)


@pytest.mark.parametrize(
    ("path", "params", "file"),
    [
        ("aggTrades", {"symbol": "BTCUSDT"}, "aggTrades_BTCUSDT"), ("trades", {"symbol": "BTCUSDT"}, "trades_BTCUSDT"),
        ("historicalTrades", {"symbol": "BTCUSDT", "fromId": 0}, "trades_BTCUSDT"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}, "klines_BTCUSDT_1m"),
    ],
)  # fmt: skip
async def test_pages_have_the_shape_of_recorded_ones(recordings, path, params, file):
    clock = ManualClock(START)
    async with served(Script(ROWS), clock) as exchange:
        await passed(exchange, clock, 62)
        ours = (await ask(exchange, f"/api/v3/{path}", **params)).json()
    recorded = json.loads((recordings / "binance" / "rest" / f"{file}.json").read_text())
    assert ours and one_shape(ours) == one_shape(recorded)


async def test_small_answers_and_the_list_of_symbols_have_the_recorded_shape(recordings):
    rest = recordings / "binance" / "rest"
    async with served() as exchange:
        for path, params, file in (
            ("time", {}, "time"),
            ("ticker/price", {"symbol": "BTCUSDT"}, "ticker_price_BTCUSDT"),
        ):
            answer = await ask(exchange, f"/api/v3/{path}", **params)
            assert shape(answer.json()) == shape(json.loads((rest / f"{file}.json").read_text()))
        info = (await ask(exchange, "/api/v3/exchangeInfo")).json()
    recorded = json.loads((rest / "exchangeInfo_binance_us_2021-10-12.json").read_text())
    assert info.pop("simulated") is True
    assert list(info) == list(recorded)
    assert [list(one) for one in info["rateLimits"]] == [list(one) for one in recorded["rateLimits"]]
    ours, theirs = info["symbols"][0], recorded["symbols"][0]
    assert [(key, type(value)) for key, value in ours.items()] == [(key, type(value)) for key, value in theirs.items()]
    named = {one["filterType"]: list(one) for one in theirs["filters"]}
    assert {one["filterType"]: list(one) for one in ours["filters"]} == named


async def test_refusals_equal_the_recorded_ones(recordings):
    from tickhouse.exchange.limits import Limits

    errors, clock = recordings / "binance" / "errors", ManualClock(1_660_090_303_228_000)
    async with served(clock=clock, limits=Limits(patience=1)) as exchange:
        bad = await ask(exchange, "/api/v3/klines", symbol="NOPE", interval="1m")
        assert (bad.status_code, bad.text) == (400, (errors / "400_invalid_symbol.json").read_text().strip())
        exchange.doorman.weigh("127.0.0.1", 6000, clock.now())
        answer = await ask(exchange, "/api/v3/ping")
        assert answer.status_code in (418, 429)
        exchange.doorman.forgive()
        exchange.doorman.weigh("127.0.0.1", 6000, clock.now())
        exchange.doorman.limits = Limits(patience=1)
        slow = await ask(exchange, "/api/v3/ping")
        ban = await ask(exchange, "/api/v3/ping")
    assert slow.text == (errors / "429_request_weight.json").read_text().strip()
    assert ban.text == (errors / "418_ip_banned.json").read_text().strip()


async def test_acks_and_notices_equal_the_recorded_ones(recordings):
    ws_folder = recordings / "binance" / "ws"
    clock = ManualClock(1_770_123_456_789_000)
    async with served(clock=clock) as exchange, dial(f"{exchange.ws_url}/stream") as ws:
        await ws.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        ack = await ws.recv()
        next(iter(exchange.clients.values())).part()
        notice = await ws.recv()
    assert ack == (ws_folder / "subscribe_ack.json").read_text().strip()
    assert notice == (ws_folder / "server_shutdown_combined.json").read_text().strip()
