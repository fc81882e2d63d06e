"""A bar shows the messages it was made of: those of its ticks, or the one that held it as a whole."""

import json

import pytest

from tickhouse.core.batches import RawBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.settings import load
from tickhouse.feeds.csv import Csv, Layout, read
from tickhouse.pipeline import Pipeline
from tickhouse.steps.load import Load
from tickhouse.steps.read import Reader

T0 = 1_767_225_600_000_000
MINUTE = 60_000_000
NOW = T0 + 10 * MINUTE
LAYOUT = Layout(
    "bars", {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}, 6, symbol="X", interval="1m"
)


@pytest.fixture
def house(tmp_path, clock):
    pipeline = Pipeline(load(None, tmp_path / "house"), clock)
    yield pipeline
    pipeline.close()


def trade(number, at):
    return b'{"e":"trade","E":5,"s":"BTCUSDT","t":%d,"p":"10","q":"1","T":%d,"m":true,"M":true}' % (number, at // 1000)


def kline(start, close=11):
    """A row of a page of bars."""
    return [start // 1000, "10", "12", "9", str(close), "5", (start + MINUTE) // 1000 - 1, "50", 3, "2", "20", "0"]


def page(*rows, lane="load:recent"):
    body = json.dumps(rows).encode()
    marks = [Mark(event, NOW).encode() for event in (Event.BEGIN, Event.END)]
    begin, end = (RawBatch.of("binance", LINK, [mark], NOW, lane) for mark in marks)
    return [begin, RawBatch.of("binance", "klines:BTCUSDT:1m", [body], NOW, lane), end]


def taken(house, batches):
    house.ingest().take(batches)
    house.process().catch_up()


def traced(house, minute=0, **asked):
    return Reader(house).trace("BTC-USDT", T0 + minute * MINUTE, "1m", **asked)


def test_a_bar_of_a_page_shows_the_page(house):
    taken(house, page(kline(T0), kline(T0 + MINUTE)))
    for minute in (0, 1):
        found = traced(house, minute)
        (message,) = found["raw"]["messages"]
        assert found["ticks"] == 0 and message["whole"] and message["channel"] == "klines:BTCUSDT:1m"
        assert json.loads(message["payload"])[minute][0] == (T0 + minute * MINUTE) // 1000


def test_each_version_that_came_as_a_bar_shows_its_own_page(house):
    taken(house, [*page(kline(T0)), *page(kline(T0, close=12), lane="load:again")])
    found = traced(house)
    assert [version["close"] for version in found["versions"]] == [11, 12]
    assert [json.loads(message["payload"])[0][4] for message in found["raw"]["messages"]] == ["11", "12"]


def test_a_bar_that_came_both_ways_shows_the_page_and_the_trades_and_keeps_the_page_when_cut(house):
    trades = [trade(n, T0 + n * 10_000_000) for n in range(12)]
    taken(house, [RawBatch.of("binance", "trade", trades, NOW), *page(kline(T0))])
    found = traced(house)
    assert [message["whole"] for message in found["raw"]["messages"]] == [False] * 6 + [True]
    assert found["raw"]["count"] == 7 and found["ticks"] == 6
    cut = traced(house, limit=2)["raw"]
    assert [message["whole"] for message in cut["messages"]] == [False, True] and cut["count"] == 7


def test_a_bar_of_one_trade_shows_that_trade_once(house):
    taken(house, [RawBatch.of("binance", "trade", [trade(1, T0), trade(2, T0 + 5 * MINUTE)], NOW)])
    (message,) = traced(house)["raw"]["messages"]
    assert not message["whole"] and b'"t":1,' in message["payload"].encode()


def test_a_bar_of_a_file_shows_its_line_also_from_the_lake(house, tmp_path, clock):
    path = tmp_path / "bars.csv"
    path.write_text("".join(f"{T0 + n * MINUTE},10,12,9,{10 + n},5\n" for n in range(3)))
    detail = {"feed": "csv", **LAYOUT.to_detail()}
    loading = Load(house.ingest({"csv": Csv(LAYOUT)}), "csv", path, clock, detail)
    loading.run(lambda skip, lane: read(path, LAYOUT, lane, T0, skip))
    house.process().catch_up()
    for _ in range(2):
        (message,) = Reader(house).trace("X", T0 + MINUTE, "1m")["raw"]["messages"]
        assert message["payload"] == f"{T0 + MINUTE},10,12,9,11,5" and message["whole"]
        house.archive().catch_up()
        clock.move(8 * 86_400)
        house.journal.trim(clock.now())
    assert house.journal.begin() > 0


def test_a_bar_that_was_rolled_up_shows_the_pages_of_its_minutes(house):
    first, second = (
        page(kline(T0), kline(T0 + MINUTE)),
        page(*(kline(T0 + n * MINUTE) for n in (2, 3, 4)), lane="load:two"),
    )
    taken(house, [*first, *second])
    found = Reader(house).trace("BTC-USDT", T0, "5m")
    assert found["bar"]["close"] == 11 and found["bar"]["completeness"] == 1.0
    counts = [len(json.loads(message["payload"])) for message in found["raw"]["messages"]]
    assert counts == [2, 3] and all(message["whole"] for message in found["raw"]["messages"])
