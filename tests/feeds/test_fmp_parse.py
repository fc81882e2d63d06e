"""What the messages of FMP mean, and what is refused in them."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.samples_fmp import AFTER, BAR, CPI, MINUTE, OLD_BARS, OLD_QUOTE, QUOTE, SHORT, TRADE, body
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import TickhouseError
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import fmp

NOW = 1_790_985_600_000_000


def parse(*payloads: bytes, channel: str = "batch_quote", received_at: int = NOW) -> Parsed:
    return fmp.open().parse(RawBatch.of("fmp", channel, payloads, received_at))


def quotes(*rows: Any, channel: str = "batch_quote") -> list[dict[str, Any]]:
    found = parse(body(*rows), channel=channel).quotes
    return found.to_pylist() if found is not None else []


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_quote_is_what_it_says_in_both_spellings() -> None:
    now = datetime.fromtimestamp(NOW / 1e6, UTC)
    expected = {
        "symbol": "AAPL", "source": "fmp", "event_time": at("2025-09-23T17:23:02"), "received_at": now, "price": 254.86,
        "change": -1.22, "change_percent": -0.47641, "day_open": 255.875, "day_high": 257.34, "day_low": 254.4,
        "day_volume": 32409702.0, "previous_close": 256.08, "bid": None, "ask": None, "raw": 0,
    }  # fmt: skip
    assert quotes(QUOTE) == quotes(QUOTE, channel="quote:AAPL") == [expected]
    (old,) = quotes(OLD_QUOTE)
    assert old == expected | {"change_percent": 0.35, "event_time": at("2023-11-22T21:00:01")}


def test_what_has_no_time_is_of_when_it_came_and_what_has_no_value_is_null() -> None:
    (short,) = quotes(SHORT)
    assert short["event_time"] == short["received_at"] == datetime.fromtimestamp(NOW / 1e6, UTC)
    assert (short["price"], short["day_volume"], short["day_open"], short["change_percent"]) == (
        400.0,
        24968944.0,
        None,
        None,
    )
    nothing = {"dayHigh": None, "dayLow": "", "open": "N/A", "volume": "-", "timestamp": None}
    (null,) = quotes(QUOTE | nothing)
    assert [null[name] for name in ("day_high", "day_low", "day_open", "day_volume")] == [None] * 4


def test_after_hours_times_are_milliseconds_and_the_price_is_between_bid_and_ask() -> None:
    (row,) = quotes(AFTER, channel="aftermarket_quote:AAPL")
    assert (row["price"], row["bid"], row["ask"], row["day_volume"]) == (344.5, 343.02, 345.98, 30136225.0)
    assert row["event_time"] == at("2026-07-29T18:54:26")
    (trade,) = quotes(TRADE, channel="aftermarket_trade:AAPL")
    assert (trade["price"], trade["bid"], trade["event_time"]) == (343.57, None, at("2026-07-29T18:54:26.123"))


@pytest.mark.parametrize(
    ("text", "value"), [("1.5%", 1.5), ("(-1.5%)", -1.5), ("+0.35", 0.35), ("( 2 % )", 2.0), (-4, -4.0), ("0.00%", 0.0)]
)
def test_percent_may_be_text(text: Any, value: float) -> None:
    assert quotes(QUOTE | {"changePercentage": text})[0]["change_percent"] == value


@pytest.mark.parametrize(
    ("spelling", "symbol"),
    [
        ("AAPL", "AAPL"),
        ("BRK-B", "BRK.B"),
        ("BRK.B", "BRK.B"),
        ("EURUSD", "EUR-USD"),
        ("BTCUSD", "BTC-USD"),
        ("VOD.L", "VOD.L"),
    ],
)
def test_symbols_are_canonical(spelling: str, symbol: str) -> None:
    row = QUOTE | {"symbol": spelling}
    for channel in ("batch_quote", f"quote:{symbol}", f"quote:{spelling}"):
        assert [found["symbol"] for found in quotes(row, channel=channel)] == [symbol]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (QUOTE | {"price": None}, "price"),
        (QUOTE | {"price": "ten"}, "price"),
        (QUOTE | {"price": "1e999"}, "price"),
        (QUOTE | {"price": 10**400}, "price"),
        (QUOTE | {"price": True}, "changed_field"),
        (QUOTE | {"open": [1]}, "changed_field"),
        (QUOTE | {"change": "1_0"}, "change"),
        (QUOTE | {"changePercentage": "1.2.3%"}, "change_percent"),
        (QUOTE | {"timestamp": 0}, "time"),
        (QUOTE | {"timestamp": "1758648182"}, "time"),
        (QUOTE | {"timestamp": 10**30}, "time"),
        (QUOTE | {"symbol": None}, "unknown_symbol"),
        (QUOTE | {"symbol": "apple inc"}, "unknown_symbol"),
        (AFTER | {"askPrice": 0}, "price"),
        ([QUOTE], "changed_field"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_alone(row: Any, reason: str) -> None:
    found = parse(body(SHORT, row, SHORT))
    assert found.quotes is not None
    assert found.quotes.num_rows == 2
    assert found.kinds.tolist() == [Kind.PARSED]
    assert [(r.index, r.reason) for r in found.rejects] == [(0, reason)]


@pytest.mark.parametrize(
    ("payload", "channel", "reason"),
    [
        (body(QUOTE), "quote:MSFT", "unknown_symbol"),
        (body(QUOTE), "quote:no such", "unknown_symbol"),
        (body(BAR), "historical:MSFT", "unknown_symbol"),
        (body(CPI), "economic:GDP", "unknown_symbol"),
        (body(CPI | {"name": "x" * 40}), "economic", "unknown_symbol"),
        (body(MINUTE), "historical_chart:AAPL", "unknown_symbol"),
        (body(MINUTE), "historical_chart:AAPL:7m", "unknown_symbol"),
        (body(MINUTE | {"date": "2025-09-23 25:00:00"}), "historical_chart:AAPL:1m", "time"),
        (body(MINUTE | {"date": "2025-11-02 01:30:00"}), "historical_chart:AAPL:1m", "time"),
        (body(MINUTE | {"date": "2025-03-09 02:30:00"}), "historical_chart:AAPL:1m", "time"),
        (body(BAR | {"date": "2023-02-30"}), "historical", "time"),
        (body(BAR | {"date": 20230110}), "historical", "time"),
        (body(BAR | {"low": None}), "historical", "price"),
        (body(CPI | {"date": "June"}), "economic", "time"),
        (body(QUOTE), "trades", "unknown_channel"),
        (b'{"Error Message":"Limit Reach"}', "quote:AAPL", "refusal"),
        (b'{"symbol":"AAPL","historical":{}}', "historical", "changed_field"),
        (b"{}", "quote", "changed_field"),
        (body({"name": "no symbol"}), "search", "changed_field"),
        (b"Restricted Endpoint", "batch_quote", "malformed"),
        (b'[{"symbol":"AAPL"', "quote", "truncated"),
        (b"\xff", "quote", "binary"),
        (b'[{"symbol":"A\x01PL"}]', "quote", "binary"),
    ],
)
def test_what_is_not_understood_is_rejected_with_its_reason(payload: bytes, channel: str, reason: str) -> None:
    found = parse(payload, channel=channel)
    assert found.kinds.tolist() == [Kind.REJECTED]
    assert [reject.reason for reject in found.rejects] == [reason]
    assert len(found.rejects[0].detail) < 300


def test_days_are_bars_from_utc_midnight_oldest_first_with_the_vwap_of_fmp() -> None:
    bars = parse(body(BAR, BAR | {"date": "2023-01-09", "vwap": None, "volume": None}), channel="historical").bars
    assert bars is not None
    newest, oldest = bars.to_arrow().to_pylist()[::-1]
    assert [row["start"] for row in (oldest, newest)] == [at("2023-01-09"), at("2023-01-10")]
    assert (newest["interval"], newest["vwap"], newest["volume"], newest["close"]) == (
        "1d",
        130.0925,
        63896200.0,
        130.73,
    )
    assert (oldest["volume"], oldest["state"]) == (0.0, "final")
    assert bars.vwap[0] != bars.vwap[0]
    old = parse(json.dumps(OLD_BARS).encode(), channel="historical").bars
    assert old is not None
    assert (old.symbols, old.close.tolist(), old.start.tolist()) == (["AAPL"], [130.73], bars.start.tolist()[1:])


def test_bars_of_many_symbols_keep_theirs() -> None:
    found = parse(
        body(BAR, BAR | {"symbol": "EURUSD", "close": 129.0}), body(BAR | {"close": 129.5}), channel="historical"
    ).bars
    assert found is not None
    rows = [(row["symbol"], row["close"], row["first_raw"]) for row in found.to_arrow().to_pylist()]
    assert rows == [("AAPL", 130.73, 0), ("EUR-USD", 129.0, 0), ("AAPL", 129.5, 1)]


def test_a_day_that_is_not_over_is_left_out() -> None:
    over, day = 19_368 * 86_400_000_000, body(BAR)
    assert parse(day, channel="historical", received_at=over - 1).kinds.tolist() == [Kind.CONTROL]
    assert parse(day, channel="historical", received_at=over).kinds.tolist() == [Kind.PARSED]


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-09-23 15:59:00", "2025-09-23T19:59:00"),
        ("2025-03-07 09:30:00", "2025-03-07T14:30:00"),
        ("2025-03-10 09:30:00", "2025-03-10T13:30:00"),
        ("2025-11-02 00:59:00", "2025-11-02T04:59:00"),
        ("2025-11-02 02:00:00", "2025-11-02T07:00:00"),
    ],
)
def test_the_times_of_a_chart_are_of_new_york_in_summer_and_in_winter(local: str, utc: str) -> None:
    bars = parse(body(MINUTE | {"date": local}), channel="historical_chart:AAPL:1m").bars
    assert bars is not None
    assert bars.to_arrow().to_pylist()[0]["start"] == at(utc)
    assert bars.interval.tolist() == [60_000_000]


def test_a_value_of_a_series_is_believed_from_the_day_it_came() -> None:
    night = 1_785_380_400_000_000  # 2026-07-30 03:00 UTC, the evening before in New York
    found = parse(
        body(CPI, CPI | {"name": "realGDP", "value": None}), channel="economic", received_at=night
    ).observations
    assert found is not None
    first, second = found.to_pylist()
    assert first == {
        "series": "CPI", "source": "fmp", "date": date(2026, 6, 1), "value": 332.568, "vintage": date(2026, 7, 29), "raw": 0,
    }  # fmt: skip
    assert (second["series"], second["value"]) == ("REALGDP", None)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["9", "1%", "AAPL", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes().map(lambda at: at.isoformat(sep=" ", timespec="seconds")) | st.dates().map(str)
odd = st.fixed_dictionaries(
    {},
    optional={
        name: anything | st.floats() | st.sampled_from(("AAPL", "EURUSD")) for name in {*QUOTE, *AFTER, *BAR, *CPI}
    }
    | {"date": anything | moments, "historical": anything, "Error Message": anything},
)


@given(
    rows=st.lists(odd, max_size=4) | odd | anything,
    channel=st.sampled_from(
        ["quote:AAPL", "historical", "historical:AAPL", "historical_chart:AAPL:4h", "economic", "search"]
    ),
    status=st.sampled_from([200, 402]),
)
@settings(max_examples=tried(200))
def test_whatever_stands_in_the_fields_gives_rows_or_reasons(rows: Any, channel: str, status: int) -> None:
    payload = json.dumps(rows).encode()
    refused = fmp.open().classify(Answer(status, {}, payload, 0))
    assert refused is None or isinstance(refused, TickhouseError)
    found = parse(payload, channel=channel)
    some = any(table is not None for table in (found.quotes, found.bars, found.observations))
    assert some == (found.kinds[0] == Kind.PARSED)
    assert bool(found.rejects) or found.kinds[0] != Kind.REJECTED
    for row in found.quotes.to_pylist() if found.quotes is not None else ():
        assert all(abs(value) < float("inf") for value in row.values() if isinstance(value, float))
