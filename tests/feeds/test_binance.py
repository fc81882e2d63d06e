"""What messages of Binance mean: the rows, the control frames, and the reasons of the rejected."""

import json
import math

import numpy as np
import pytest

from tests.feeds.binance_messages import AGGREGATE, CONTROL, KLINE, TICKERS, TRADE, WITH_TICKS, trade, wrapped
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Kind, State, Want, interval_us
from tickhouse.feeds import binance

NOW = 1_767_225_700_000_000


def parse(*payloads: bytes, channel: str = "trade", received_at: int = NOW) -> Parsed:
    return binance.open().parse(RawBatch.of("binance", channel, payloads, received_at))


@pytest.mark.parametrize("payload", [TRADE, wrapped(TRADE), TRADE.replace(b":", b" : "), b"\n" + TRADE + b"\r\n"])
def test_a_trade_is_a_tick_whatever_its_clothes(payload: bytes) -> None:
    ticks = parse(payload).ticks
    assert ticks is not None
    assert ticks.to_arrow().to_pylist()[0] == {
        "symbol": "BTC-USDT", "source": "binance", "event_time": ticks.to_arrow()["event_time"][0].as_py(),
        "received_at": ticks.to_arrow()["received_at"][0].as_py(), "price": 58001.03, "size": 0.086205,
        "first_id": 4001, "last_id": 4001, "conditions": None, "raw": 0,
    }  # fmt: skip
    assert ticks.event_time.tolist() == [1_767_225_600_123_000]
    assert ticks.received_at.tolist() == [NOW]


def test_an_aggregate_trade_covers_the_ids_of_its_trades_and_may_count_microseconds() -> None:
    ticks = parse(AGGREGATE, channel="aggTrade").ticks
    assert ticks is not None
    assert (ticks.first_id[0], ticks.last_id[0], ticks.event_time[0]) == (4002, 4005, 1_767_225_600_123_456)


@pytest.mark.parametrize("payload", [*CONTROL, *(wrapped(p) for p in CONTROL), wrapped(TICKERS, "!miniTicker@arr")])
def test_a_known_frame_without_trades_is_control(payload: bytes) -> None:
    parsed = parse(payload)
    assert parsed.kinds.tolist() == [Kind.CONTROL]
    assert parsed.ticks is None
    assert not parsed.rejects


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (TRADE[:60], "truncated"),
        (wrapped(TRADE)[:-1], "truncated"),
        (b"hello", "malformed"),
        (TRADE + b"}", "malformed"),
        (TRADE.replace(b"4001", b"04001"), "malformed"),
        (b"\xff\xfe\x00" + TRADE, "binary"),
        (TRADE.replace(b"BTC", b"B\x01C"), "binary"),
        (TRADE.replace(b'"s"', b'"\xe9"'), "binary"),
        (b'{"e":"trade","x":"' + b"a" * (1 << 20) + b'"}', "oversized"),
        (wrapped(TRADE, "x" * (1 << 20)), "oversized"),
        (TRADE.replace(b'"p"', b'"price"'), "changed_field"),
        (TRADE.replace(b'"58001.03000000"', b"58001.03"), "changed_field"),
        (TRADE.replace(b"4001", b'"4001"'), "changed_field"),
        (TRADE.replace(b"4001", b"4001.0"), "changed_field"),
        (TRADE.replace(b'"e":"trade"', b'"e":"block"'), "unknown_type"),
        (TRADE.replace(b'"e":"trade"', b'"e":7'), "unknown_type"),
        (TRADE.replace(b'"e"', b'"event"'), "unknown_type"),
        (b"[]x", "malformed"),
        (b"[1]", "unknown_type"),
        (b"7", "unknown_type"),
        (TRADE.replace(b"58001.03000000", b"NaN"), "price"),
        (TRADE.replace(b"58001.03000000", b"Infinity"), "price"),
        (TRADE.replace(b"58001.03000000", b""), "price"),
        (TRADE.replace(b"58001.03000000", b"1e400"), "price"),
        (TRADE.replace(b"0.08620500", b"much"), "size"),
        (TRADE.replace(b"4001", b"-4"), "id"),
        (AGGREGATE.replace(b'"f":4002', b'"f":4006'), "id"),
        (TRADE.replace(b'"t":4001', b'"t":99999999999999999999'), "id"),
        (TRADE.replace(b'"T":1767225600123', b'"T":1767225600'), "time"),
        (TRADE.replace(b"BTCUSDT", b""), "unknown_symbol"),
        (TRADE.replace(b"BTCUSDT", b"btc usdt"), "unknown_symbol"),
        (TRADE.replace(b"BTCUSDT", b"A" * 40), "unknown_symbol"),
    ],
)
def test_what_is_not_understood_is_rejected_with_its_reason(payload: bytes, reason: str) -> None:
    parsed = parse(TRADE, payload, TRADE)
    assert parsed.kinds.tolist() == [Kind.PARSED, Kind.REJECTED, Kind.PARSED]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(1, reason)]
    assert len(parsed.rejects[0].detail) < 300
    assert parsed.ticks is not None
    assert parsed.ticks.raw.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("-1", -1.0), ("1e308", 1e308), ("007.50", 7.5), ("0.00000001", 1e-8)]
)
def test_an_absurd_price_is_a_number_all_the_same(text: str, value: float) -> None:
    """Zero, negative and huge prices are for quality to judge."""
    ticks = parse(TRADE.replace(b"58001.03000000", text.encode())).ticks
    assert ticks is not None
    assert ticks.price[0] == value


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    ticks = parse(TRADE[:-1] + b',"p":"7.5"}').ticks
    assert ticks is not None
    assert ticks.price[0] == 7.5


def test_a_dusty_aggregate_without_ids_has_none() -> None:
    ticks = parse(AGGREGATE.replace(b'"f":4002,"l":4005', b'"f":-1,"l":-1')).ticks
    assert ticks is not None
    assert ticks.to_arrow()["first_id"].null_count == 1


def test_rows_keep_the_order_of_their_messages_and_symbols_the_order_of_first_use() -> None:
    """Also when some rows come from the scanner and some, with white space or other letters, from the judge."""
    odd = trade(3, "币安USDT")
    parsed = parse(trade(1, "ETHBTC"), b"[1]", trade(2, "BTCUSDT") + b" ", odd, trade(4, "ETHBTC"), trade(5, "BTCUSDT"))
    assert parsed.ticks is not None
    assert parsed.ticks.raw.tolist() == [0, 2, 3, 4, 5]
    assert parsed.ticks.first_id.tolist() == [1, 2, 3, 4, 5]
    assert parsed.ticks.symbols == ["ETH-BTC", "BTC-USDT", "币安-USDT"]
    assert parsed.ticks.symbol.tolist() == [0, 1, 2, 0, 1]


def test_what_was_parsed_before_changes_nothing() -> None:
    feed = binance.open()
    raw = RawBatch.of("binance", "trade", [trade(i, f"S{i % 7}USDT") for i in range(50)], NOW)
    first = feed.parse(raw).ticks
    feed.parse(RawBatch.of("binance", "trade", [trade(i, f"X{i}BTC") for i in range(300)], NOW))
    again = feed.parse(raw).ticks
    assert first is not None and again is not None
    assert first.symbols == again.symbols
    assert first.to_arrow().equals(again.to_arrow())


def test_a_million_symbols_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of symbols starts anew when it is full, and nothing is lost or mixed up by that."""
    from tickhouse.core.kernels.symbols import SymbolTable
    from tickhouse.feeds._binance_frames import Frames
    from tickhouse.feeds._binance_rows import Names

    frames = Frames(Names())
    frames._scanner.table = SymbolTable(most=16)
    for start in range(0, 200, 20):
        raw = RawBatch.of("binance", "trade", [trade(i, f"S{i}USDT") for i in range(start, start + 20)], NOW)
        ticks = frames.ticks(raw).ticks
        assert ticks is not None
        assert [ticks.symbols[code] for code in ticks.symbol] == [f"S{i}-USDT" for i in range(start, start + 20)]
        assert len(frames._scanner.table) <= 16


def test_symbols_that_were_asked_for_come_back_as_they_were_written() -> None:
    """FOOBAR has no known quote asset; a subscription, or the setting, knows how it was meant."""
    feed = binance.open()
    raw = RawBatch.of("binance", "trade", [trade(1, "FOOBAR")], NOW)
    before = feed.parse(raw).ticks
    feed.subscriptions(Want(("FOO-BAR",), "trade"))
    after = feed.parse(raw).ticks
    by_setting = binance.open(symbols="foo-bar").parse(raw).ticks
    assert before is not None and after is not None and by_setting is not None
    assert (before.symbols, after.symbols, by_setting.symbols) == (["FOOBAR"], ["FOO-BAR"], ["FOO-BAR"])


def test_klines_are_bars_on_their_own_channel() -> None:
    still_open = KLINE.replace(b'"x":true', b'"x":false')
    parsed = parse(KLINE, wrapped(still_open), TRADE, b"{", channel="kline")
    assert parsed.kinds.tolist() == [Kind.PARSED, Kind.PARSED, Kind.CONTROL, Kind.REJECTED]
    bars = parsed.bars
    assert bars is not None
    assert bars.state.tolist() == [State.FINAL, State.FORMING]
    assert (bars.symbols, bars.interval[0], bars.start[0]) == (["BTC-USDT"], interval_us("1m"), 1_767_225_600_000_000)
    assert [getattr(bars, name)[0] for name in ("open", "high", "low", "close")] == [58000.1, 58010.0, 57990.0, 58003.0]
    assert (bars.volume[0], bars.vwap[0], bars.trades[0], bars.known_at[0]) == (2.0, 58000.0, 100, NOW)
    assert bars.first_raw.tolist() == bars.last_raw.tolist() == [0, 1]


def test_pages_of_trades_have_many_rows_a_message() -> None:
    page = [
        {"id": i, "price": "2.5", "qty": "4", "quoteQty": "10", "time": 1_767_225_600_000 + i, "isBuyerMaker": True}
        for i in range(3)
    ]
    bad = [*page[:1], {**page[1], "price": "NaN"}, *page[2:]]
    payloads = [
        json.dumps(page).encode(),
        b"[]",
        json.dumps(bad).encode(),
        b'[{"id":1}]',
        b"[{",
        b'{"code":-1121,"msg":"x"}',
    ]
    for channel in ("historicalTrades:BTCUSDT", "trades:BTCUSDT"):
        parsed = parse(*payloads, channel=channel)
        assert parsed.kinds.tolist() == [0, 1, 0, 2, 2, 1]
        assert [(r.index, r.reason) for r in parsed.rejects] == [(2, "price"), (3, "changed_field"), (4, "truncated")]
        assert parsed.ticks is not None
        assert parsed.ticks.raw.tolist() == [0, 0, 0, 2, 2]
        assert parsed.ticks.first_id.tolist() == parsed.ticks.last_id.tolist() == [0, 1, 2, 0, 2]
        assert parsed.ticks.symbols == ["BTC-USDT"]


def test_a_page_whose_channel_names_no_symbol_is_rejected() -> None:
    parsed = parse(b"[]", b"[]", channel="aggTrades")
    assert [r.reason for r in parsed.rejects] == ["unknown_symbol", "unknown_symbol"]


def test_a_page_of_aggregates_gives_the_same_rows_as_the_frames() -> None:
    fields = json.loads(AGGREGATE)
    page = parse(json.dumps([{k: fields[k] for k in "apqflTmM"}]).encode(), channel="aggTrades:BTCUSDT").ticks
    frame = parse(AGGREGATE).ticks
    assert page is not None and frame is not None
    assert page.to_arrow().equals(frame.to_arrow())


def test_the_newest_kline_of_a_page_counts_once_its_window_is_over() -> None:
    def kline(minute: int, volume: str) -> list[object]:
        start = 1_767_225_600_000 + minute * 60_000
        return [start, "1.0", "3.0", "0.5", "2.0", volume, start + 59_999, "20", 7, "5", "10", "0"]

    page = json.dumps([kline(0, "10"), kline(1, "0"), kline(2, "10")]).encode()
    just_over, not_yet = 1_767_225_600_000_000 + 120_000_000, 1_767_225_600_000_000 + 119_999_000
    parsed = parse(page, channel="klines:ETHBTC:1m", received_at=just_over)
    assert parsed.bars is not None
    assert parsed.bars.trades.tolist() == [7, 7]
    assert parsed.bars.vwap[0] == 2.0 and math.isnan(parsed.bars.vwap[1])
    assert parsed.bars.state.tolist() == [State.FINAL, State.FINAL]
    assert parsed.bars.symbols == ["ETH-BTC"]
    earlier = parse(page, channel="klines:ETHBTC:1m", received_at=not_yet).bars
    assert earlier is not None and len(earlier) == 1


def test_an_unknown_channel_rejects_every_message() -> None:
    parsed = parse(TRADE, b"", channel="depth")
    assert parsed.kinds.tolist() == [Kind.REJECTED] * 2
    assert {r.reason for r in parsed.rejects} == {"unknown_channel"}


def test_messages_in_the_middle_of_a_larger_buffer_are_read_alike() -> None:
    """Lines of a file are parsed in place; what stands behind a message never belongs to it."""
    text = b"\n".join(WITH_TICKS) + b"0000000000"
    ends = np.array([text.index(p) + len(p) for p in WITH_TICKS])
    offsets = np.array([text.index(p) for p in WITH_TICKS])
    for pad in (0, 100, 1 << 15):
        data = np.frombuffer(text + b"9" * pad, np.uint8)
        raw = RawBatch("binance", "trade", "live", data, offsets, ends, np.full(3, NOW))
        ticks = binance.open().parse(raw).ticks
        plain = parse(*WITH_TICKS).ticks
        assert ticks is not None and plain is not None
        assert ticks.to_arrow().equals(plain.to_arrow())
    cut = RawBatch("binance", "trade", "live", data, offsets, ends - 1, np.full(3, NOW))
    assert [r.reason for r in binance.open().parse(cut).rejects] == ["truncated"] * 3
