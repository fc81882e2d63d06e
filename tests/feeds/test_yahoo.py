"""What Yahoo's messages mean, trap by trap."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.feeds.yahoo_messages import NEW_YORK_OPEN, body, chart, frame, pricing, quotes
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Kind
from tickhouse.feeds import yahoo
from tickhouse.feeds._yahoo_names import Names, spelled

LATER = 1_800_000_000_000_000
DAY, MINUTE = 86_400, 60


def parsed(channel: str, message: Any, at: int = LATER, **options: Any) -> Parsed:
    """What one message means that came at a time (us)."""
    payload = message if isinstance(message, bytes) else body(message)
    return yahoo.open(**options).parse(RawBatch.of("yahoo", channel, [payload], at))


def us(text: str) -> int:
    """A UTC time as microseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def starts(found: Parsed) -> list[int]:
    """When the bars begin."""
    return [] if found.bars is None else found.bars.start.tolist()


def rows(found: Parsed) -> list[dict[str, Any]]:
    """The quotes without what is null or everywhere the same."""
    assert found.quotes is not None
    plain = found.quotes.to_pylist()
    return [
        {k: v for k, v in row.items() if v is not None and k not in ("source", "raw", "received_at")} for row in plain
    ]


def reason(found: Parsed) -> str:
    """Why a message was refused, as the stable word."""
    (reject,) = found.rejects
    return reject.reason


@pytest.mark.parametrize(
    ("symbol", "spelling"),
    [
        ("AAPL", "AAPL"), ("BRK.B", "BRK-B"), ("BTC-USD", "BTC-USD"), ("EUR-USD", "EURUSD=X"), ("USD-JPY", "JPY=X"),
        ("EUR-GBP", "EURGBP=X"), ("OCDO.L", "OCDO.L"), ("7203.T", "7203.T"), ("^GSPC", "^GSPC"), ("GC=F", "GC=F"),
        ("NOVO-B.CO", "NOVO-B.CO"), ("XAU-USD", "XAUUSD=X"), ("BTC-EUR", "BTC-EUR"), ("ORSTED.CO", "ORSTED.CO"),
    ],
)  # fmt: skip
def test_symbols_go_out_as_yahoo_spells_them_and_come_back(symbol: str, spelling: str) -> None:
    assert spelled(symbol) == spelling
    assert Names().of(spelling) == symbol


def test_a_symbol_of_the_settings_comes_back_as_it_is_written_there() -> None:
    message = quotes({"symbol": "BF-B"})
    assert rows(parsed("quote", message))[0]["symbol"] == "BF.B"
    assert rows(parsed("quote", message, symbols="BF-B, AAPL"))[0]["symbol"] == "BF-B"


def test_days_are_stamped_at_the_utc_midnight_of_the_date_of_the_exchange() -> None:
    """The offset of the answer's own day, an hour or more off, is not used."""
    for zone, opened, day in (
        ("America/New_York", "2020-01-02T14:30", "2020-01-02"),
        ("Europe/London", "2020-06-30T23:00", "2020-07-01"),
        ("Asia/Tokyo", "2020-01-05T23:00", "2020-01-06"),
        ("UTC", "2020-01-02T00:00", "2020-01-02"),
        ("US/Eastern", "2020-01-02T14:30", "2020-01-02"),
    ):
        message = chart([us(opened) // 1_000_000], exchangeTimezoneName=zone, gmtoffset=-36_000)
        assert starts(parsed("chart", message)) == [us(day)], zone


def test_minutes_are_stamped_at_their_open_across_a_change_of_clocks() -> None:
    times = [us("2026-03-06T14:30") // 1_000_000, us("2026-03-09T13:30") // 1_000_000]
    found = parsed("chart", chart(times, dataGranularity="60m"))
    assert starts(found) == [us("2026-03-06T14:30"), us("2026-03-09T13:30")]
    assert found.bars is not None
    assert set(found.bars.interval.tolist()) == {3_600_000_000}


def test_a_row_with_a_null_is_dropped_and_its_neighbours_are_not() -> None:
    whole, halted = (1.0, 3.0, 0.5, 2.0, 9), (1.0, None, 0.5, 2.0, 9)
    times = [NEW_YORK_OPEN + DAY * i for i in range(4)]
    found = parsed("chart", chart(times, [whole, halted, whole, (1.0, 3.0, 0.5, 2.0, None)]))
    assert found.bars is not None
    assert [start // 86_400_000_000 for start in starts(found)] == [20455, 20457, 20458]
    assert found.bars.volume.tolist() == [9.0, 9.0, 0.0]
    assert not found.rejects


def test_the_live_price_at_the_end_is_a_quote_and_no_bar() -> None:
    live = NEW_YORK_OPEN + 1707
    times, volumes = [*range(NEW_YORK_OPEN, live, 300), live], [9, 9, 9, 9, 9, 9, 0]
    message = chart(
        times, [(1.0, 3.0, 0.5, 2.0, v) for v in volumes], dataGranularity="5m", regularMarketTime=live,
        regularMarketDayHigh=3.5, regularMarketDayLow=0.25, regularMarketVolume=77, previousClose=2.25,
    )  # fmt: skip
    found = parsed("chart", message, at=live * 1_000_000)
    assert starts(found) == [t * 1_000_000 for t in times[:5]], "the bar that is still open is none yet"
    assert rows(found) == [
        {
            "symbol": "AAPL", "event_time": datetime.fromtimestamp(live, UTC), "price": 2.5, "day_high": 3.5, "day_low": 0.25,
            "day_volume": 77.0, "previous_close": 2.25,
        }
    ]  # fmt: skip


def test_the_live_price_is_no_bar_even_where_it_falls_on_the_grid() -> None:
    """After the close the last price lies at 16:00 sharp, without volume; a real bar of one trade has some."""
    close = NEW_YORK_OPEN + 6 * 3600 + 1800
    for volume, kept in ((0, [NEW_YORK_OPEN]), (100, [NEW_YORK_OPEN, close])):
        message = chart(
            [NEW_YORK_OPEN, close], [(1.0, 3.0, 0.5, 2.0, 9), (2.0, 2.0, 2.0, 2.0, volume)], dataGranularity="5m",
            regularMarketTime=close,
        )  # fmt: skip
        assert starts(parsed("chart", message)) == [t * 1_000_000 for t in kept]


def test_a_bar_off_the_minute_is_refused_alone() -> None:
    found = parsed("chart", chart([NEW_YORK_OPEN, NEW_YORK_OPEN + 61, NEW_YORK_OPEN + 120], dataGranularity="1m"))
    assert (len(starts(found)), reason(found), found.kinds.tolist()) == (2, "grid", [Kind.PARSED])


def test_a_day_is_a_bar_a_minute_after_its_session_ended() -> None:
    """On the day itself, the time of its row is that of the last trade; where no session is known, its midnight counts."""
    open_, close = NEW_YORK_OPEN, NEW_YORK_OPEN + 6 * 3600 + 1800
    period = {"regular": {"start": open_, "end": close, "timezone": "EST", "gmtoffset": -18000}}
    for times in ([open_], [close + 1], [open_, close + 1]):
        message = chart(times, currentTradingPeriod=period, regularMarketTime=close + 1)
        assert starts(parsed("chart", message, at=(close + 59) * 1_000_000)) == []
        assert starts(parsed("chart", message, at=(close + 60) * 1_000_000)) == [us("2026-01-02")]
    midnight = us("2026-01-03T05:00")
    assert starts(parsed("chart", chart([open_]), at=midnight - 1)) == []
    assert starts(parsed("chart", chart([open_]), at=midnight)) == [us("2026-01-02")]


def test_of_two_rows_of_one_day_the_later_whole_one_counts() -> None:
    rows_ = [(1.0, 3.0, 0.5, 2.0, 9), (1.0, 3.0, 0.5, 2.5, 10)]
    found = parsed("chart", chart([NEW_YORK_OPEN, NEW_YORK_OPEN + 3600], rows_))
    assert found.bars is not None
    assert (found.bars.close.tolist(), found.bars.volume.tolist()) == ([2.5], [10.0])
    found = parsed("chart", chart([NEW_YORK_OPEN, NEW_YORK_OPEN + 3600], [rows_[0], (None,) * 5]))
    assert found.bars is not None
    assert found.bars.close.tolist() == [2.0]


def test_a_week_is_a_bar_when_it_is_over_and_the_live_row_in_it_never() -> None:
    monday, live = us("2026-01-05T05:00") // 1_000_000, us("2026-01-07T15:00") // 1_000_000
    message = chart([monday, live], dataGranularity="1wk", regularMarketTime=live)
    assert starts(parsed("chart", message, at=us("2026-01-12T04:59"))) == []
    assert starts(parsed("chart", message)) == [us("2026-01-05")]


def test_splits_and_dividends_are_actions_of_the_day_of_the_exchange() -> None:
    tokyo = us("2025-12-29T00:00") // 1_000_000
    events = {
        "dividends": {"1": {"amount": 0.25, "date": tokyo}},
        "capitalGains": {"1": {"amount": 0.5, "date": tokyo}},
        "splits": {"1": {"date": tokyo - DAY, "numerator": 3, "denominator": 2, "splitRatio": "3:2"}},
    }
    found = parsed("chart", chart([NEW_YORK_OPEN], events=events, symbol="7203.T", exchangeTimezoneName="Asia/Tokyo"))
    assert found.actions is not None
    plain = [(r["symbol"], r["date"], r["kind"], r["value"]) for r in found.actions.to_pylist()]
    assert plain == [
        ("7203.T", date(2025, 12, 28), "split", 1.5),
        ("7203.T", date(2025, 12, 29), "dividend", 0.75),
    ], "what is paid on one day is one dividend"


def test_a_split_without_a_ratio_is_refused_alone() -> None:
    events = {"splits": {"1": {"date": NEW_YORK_OPEN, "numerator": 3, "denominator": 0}}}
    found = parsed("chart", chart([NEW_YORK_OPEN], events=events))
    assert (len(starts(found)), reason(found), found.actions) == (1, "split", None)


@pytest.mark.parametrize(
    ("meta", "word"),
    [
        ({"dataGranularity": "1mo"}, "interval"),
        ({"exchangeTimezoneName": "Middle/Earth"}, "timezone"),
        ({"symbol": "a b"}, "unknown_symbol"),
        ({"symbol": None}, "malformed"),
    ],
)
def test_a_chart_that_cannot_be_placed_is_refused_with_a_reason(meta: dict[str, Any], word: str) -> None:
    assert reason(parsed("chart", chart([NEW_YORK_OPEN], **meta))) == word


def test_columns_of_different_lengths_are_refused() -> None:
    message = chart([NEW_YORK_OPEN, NEW_YORK_OPEN + DAY])
    message["chart"]["result"][0]["indicators"]["quote"][0]["low"].pop()
    assert reason(parsed("chart", message)) == "columns"
    assert reason(parsed("chart", chart([10**15]))) == "time"


def test_pence_stay_pence() -> None:
    found = parsed(
        "chart", chart([NEW_YORK_OPEN], [(1279.5, 1286.5, 1258.0, 1259.5, 1)], symbol="OCDO.L", currency="GBp")
    )
    assert found.bars is not None
    assert found.bars.close.tolist() == [1259.5]
    assert "pence" in yahoo.Yahoo.about.licence


def test_a_quote_of_before_or_after_hours_is_a_snapshot_of_its_own_when_it_is_newer() -> None:
    after = {"postMarketPrice": 245.0, "postMarketTime": 1_739_581_198, "postMarketChange": 0.4, "bid": 244.5, "ask": 0}
    found = rows(parsed("quote", quotes({"regularMarketVolume": 40, **after})))
    assert [(row["price"], row.get("day_volume"), row.get("bid"), row.get("ask")) for row in found] == [
        (244.6, 40.0, None, None),
        (245.0, None, 244.5, None),
    ]
    assert [row["event_time"].timestamp() for row in found] == [1_739_566_800, 1_739_581_198]
    closed = rows(parsed("quote", quotes({"bid": 0, "ask": 0.0})))[0]
    assert "bid" not in closed and "ask" not in closed, "0 stands for none"
    old = {"preMarketPrice": 240.0, "preMarketTime": 1_739_530_000}
    assert len(rows(parsed("quote", quotes(old)))) == 1


def test_a_shell_of_a_renamed_symbol_is_refused_alone() -> None:
    shell = {"symbol": "OLD", "quoteType": "NONE", "regularMarketPrice": None, "regularMarketTime": None}
    found = parsed("quote", quotes({}, shell, {"symbol": "MSFT"}, {"symbol": "BAD", "regularMarketPrice": "much"}))
    assert [row["symbol"] for row in rows(found)] == ["AAPL", "MSFT"]
    assert [(r.reason, r.index) for r in found.rejects] == [("price", 0), ("malformed", 0)]
    assert "OLD has no price" in found.rejects[0].detail and "NONE" in found.rejects[0].detail


def test_a_frame_is_read_with_and_without_its_wrapper() -> None:
    message = pricing(_1="AAPL", _2=232.35, _3=1_785_937_395_000, _8=-0.7, _9=5_422_202, _10=233.0, _15=231.5, _23=0.0)
    expected = {
        "symbol": "AAPL", "event_time": datetime.fromtimestamp(1_785_937_395, UTC), "price": 232.35, "change_percent": -0.7,
        "day_volume": 5_422_202.0, "day_high": 233.0, "day_open": 231.5,
    }  # fmt: skip
    for wrapped in (True, False):
        assert rows(parsed("stream", frame(message, wrapped))) == [expected]


def test_what_the_stream_does_not_say_is_null_and_a_change_of_zero_is_zero() -> None:
    (found,) = rows(parsed("stream", frame(pricing(_1="JPY=X", _2=157.25, _3=1_785_937_395_000, _12=0.0, _16=0.0))))
    assert found == {
        "symbol": "USD-JPY", "event_time": datetime.fromtimestamp(1_785_937_395, UTC), "price": 157.25, "change": 0.0,
    }  # fmt: skip


def test_unknown_fields_of_a_frame_are_passed_over_and_the_last_of_a_field_counts() -> None:
    extra = b"\xfa\x07\x03abc" + b"\xf8\x07\x96\x01" + b"\xf1\x07" + b"\0" * 8 + b"\x08\x07"
    message = pricing(_1="OLD", _2=1.5) + extra + pricing(_1="AAPL", _2=2.5, _3=1_785_937_395_000)
    (found,) = rows(parsed("stream", frame(message)))
    assert (found["symbol"], found["price"]) == ("AAPL", 2.5)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (pricing(_2=1.5, _3=1_785_937_395_000), "unknown_symbol"),
        (pricing(_1="AAPL", _3=1_785_937_395_000), "price"),
        (pricing(_1="AAPL", _2=float("nan"), _3=1_785_937_395_000), "price"),
        (pricing(_1="AAPL", _2=1.5), "time"),
        (pricing(_1="AAPL", _2=1.5, _3=-5), "time"),
        (pricing(_1="AAPL", _2=1.5)[:-1], "truncated"),
        (b"\x18\x96", "truncated"),
        (b"\x18" + b"\xff" * 11, "malformed"),
        (b"\x00\x00", "malformed"),
        (b"\x0b\x0c", "malformed"),
    ],
)
def test_a_message_that_is_none_is_refused_with_a_reason(message: bytes, word: str) -> None:
    assert reason(parsed("stream", frame(message))) == word


def test_a_frame_that_is_no_base64_is_refused_and_another_type_is_control() -> None:
    assert reason(parsed("stream", b"Too Many Requests")) == "malformed"
    assert parsed("stream", b'{"type":"ack"}').kinds.tolist() == [Kind.CONTROL]


def test_an_unknown_channel_is_refused() -> None:
    assert reason(parsed("options", b"{}")) == "unknown_channel"
