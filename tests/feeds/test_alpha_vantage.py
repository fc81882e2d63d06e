"""What Alpha Vantage's messages mean, trap by trap."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.feeds.alpha_vantage_messages import DAY, PREMIUM, QUOTE, RATE, adjusted, body, economic, forex, series
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Kind
from tickhouse.feeds import alpha_vantage
from tickhouse.feeds._alpha_vantage_values import Names, spelled

LATER = 1_800_000_000_000_000


def parsed(channel: str, message: Any, at: int = LATER, **options: Any) -> Parsed:
    """What one message means that came at a time (us)."""
    payload = message if isinstance(message, bytes) else body(message)
    return alpha_vantage.open(**options).parse(RawBatch.of("alpha_vantage", channel, [payload], at))


def us(text: str) -> int:
    """A UTC time as microseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def starts(found: Parsed) -> list[int]:
    """When the bars begin."""
    return [] if found.bars is None else found.bars.start.tolist()


def quote(found: Parsed) -> dict[str, Any]:
    """The only quote."""
    assert found.quotes is not None
    (row,) = found.quotes.to_pylist()
    return {name: value for name, value in row.items() if name not in ("source", "raw", "received_at")}


@pytest.mark.parametrize(
    ("symbol", "spelling"), [("IBM", "IBM"), ("BRK.B", "BRK-B"), ("TSCO.LON", "TSCO.LON"), ("600104.SHH", "600104.SHH")]
)
def test_symbols_go_out_as_alpha_vantage_spells_them_and_come_back(symbol: str, spelling: str) -> None:
    assert spelled(symbol) == spelling
    assert Names().of(spelling) == symbol


def test_a_symbol_of_the_settings_comes_back_as_it_is_written_there() -> None:
    message = {"Global Quote": QUOTE | {"01. symbol": "BF-B"}}
    assert quote(parsed("global_quote", message))["symbol"] == "BF.B"
    assert quote(parsed("global_quote", message, symbols="BF-B"))["symbol"] == "BF-B"


def test_minutes_of_shares_are_clocks_of_new_york_in_winter_and_summer() -> None:
    rows = {"2026-07-02 09:30:00": DAY, "2026-01-02 09:30:00": DAY, "2026-01-02 19:59": DAY}
    found = parsed("intraday", series(rows, "Time Series (1min)"))
    assert starts(found) == [us("2026-01-02T14:30"), us("2026-01-03T00:59"), us("2026-07-02T13:30")], "oldest first"
    assert found.bars is not None
    assert found.bars.volume.tolist() == [9.0] * 3


def test_minutes_of_forex_are_utc() -> None:
    found = parsed("fx_intraday", forex({"2026-07-02 09:30:00": DAY}, "Time Series FX (5min)"))
    assert (starts(found), found.bars and found.bars.symbols) == ([us("2026-07-02T09:30")], ["EUR-USD"])


def test_answers_of_old_stamped_minutes_at_their_close() -> None:
    message = series({"2020-12-18 09:31:00": DAY}, "Time Series (1min)")
    assert starts(parsed("intraday", message, stamped="close")) == [us("2020-12-18T14:30")]
    assert starts(parsed("daily", series({"2020-12-18": DAY}), stamped="close")) == [us("2020-12-18")]


def test_a_bar_that_is_still_open_is_none_yet() -> None:
    rows = {"2026-01-02 09:31:00": DAY, "2026-01-02 09:30:00": DAY}
    found = parsed("intraday", series(rows, "Time Series (1min)"), at=us("2026-01-02T14:31:59"))
    assert starts(found) == [us("2026-01-02T14:30")]
    days = {"2026-01-02": DAY, "2025-12-31": DAY}
    for message, closed in ((series(days), "2026-01-02T21:01"), (forex(days), "2026-01-03")):
        assert starts(parsed("daily", message, at=us(closed) - 1)) == [us("2025-12-31")]
        assert starts(parsed("daily", message, at=us(closed))) == [us("2025-12-31"), us("2026-01-02")]


def test_dividends_and_splits_are_actions_and_prices_stay_as_traded() -> None:
    rows = {"2026-01-02": adjusted("0.25", "1.0"), "2025-12-31": adjusted("0.0000", "7.0"), "2025-12-30": adjusted()}
    found = parsed("daily_adjusted", series(rows))
    assert found.bars is not None and found.actions is not None
    assert found.bars.close.tolist() == [2.0] * 3, "not the adjusted close"
    assert found.bars.volume.tolist() == [7.0] * 3, "the sixth column, where the fifth is the adjusted close"
    plain = [(row["symbol"], row["date"], row["kind"], row["value"]) for row in found.actions.to_pylist()]
    assert plain == [("IBM", date(2025, 12, 31), "split", 7.0), ("IBM", date(2026, 1, 2), "dividend", 0.25)]


def test_a_row_that_cannot_be_read_is_refused_alone() -> None:
    rows = {
        "2026-01-02": DAY, "2025-12-31": DAY | {"4. close": "None"}, "2025-12-30": DAY | {"1. open": "much"},
        "yesterday": DAY, "2025-02-30": DAY, "2025-12-29": DAY | {"5. volume": "-"}, "2025-12-28": DAY | {"2. high": "inf"},
    }  # fmt: skip
    found = parsed("daily", series(rows))
    assert starts(found) == [us("2025-12-29"), us("2026-01-02")]
    assert [reject.reason for reject in found.rejects] == ["price", "open", "high", "time"]
    assert "2 rows of IBM have times such as 'yesterday'" in found.rejects[-1].detail
    assert found.bars is not None
    assert found.bars.volume.tolist() == [0.0, 9.0]


def test_keys_are_matched_by_what_follows_their_number() -> None:
    odd = {"01. open": "1", "02: high": "3", "3. Low": "0.5", "4. close": 2.0, "07. volume": "9"}
    old = {
        "1a. open (EUR)": "1",
        "1b. open (USD)": "9",
        "2a. high (EUR)": "3",
        "3a. low (EUR)": "0.5",
        "4a. close (EUR)": "2",
    }
    crypto = {"symbol": "", "digital_currency_code": "BTC", "market_code": "EUR", "time_zone": "UTC"}
    for message in (
        series({"2026-01-02": odd}),
        series({"2026-01-02": old}, "Time Series (Digital Currency Daily)", **crypto),
    ):
        bars = parsed("daily", message).bars
        assert bars is not None
        assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (1.0, 3.0, 0.5, 2.0)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (series({"2026-01-02": DAY}, time_zone="Mars"), "timezone"),
        (series({"2026-01-02": DAY}, "Time Series (Weekly)"), "interval"),
        (series({"2026-01-02": DAY}, symbol="a b"), "unknown_symbol"),
        ({"Time Series (Daily)": {"2026-01-02": DAY}}, "malformed"),
        ({"Meta Data": {}}, "malformed"),
        (b"timestamp,open,high,low,close,volume", "malformed"),
    ],
)
def test_a_series_that_cannot_be_placed_is_refused_with_a_reason(message: Any, word: str) -> None:
    assert [reject.reason for reject in parsed("daily", message).rejects] == [word]


def test_a_refusal_is_no_data_even_where_rows_are_invented_beside_it() -> None:
    for channel in ("daily", "economic:CPI", "global_quote", "exchange_rate"):
        for message in (PREMIUM, {"Note": "call frequency"}, {}):
            assert parsed(channel, message).kinds.tolist() == [Kind.CONTROL]
    both = series({"2026-01-02": DAY}) | {"Information": "This is a premium endpoint"}
    assert parsed("daily", both).kinds.tolist() == [Kind.CONTROL]


def test_a_global_quote_is_of_the_close_of_its_day_or_of_its_receipt() -> None:
    message = {"Global Quote": QUOTE}
    assert quote(parsed("global_quote", message)) == {
        "symbol": "IBM", "event_time": datetime(2026, 1, 2, 21, tzinfo=UTC), "price": 112.13, "change": -0.66,
        "change_percent": -0.5852, "day_open": 112.63, "day_high": 113.17, "day_low": 110.64, "day_volume": 29062853.0,
        "previous_close": 112.79, "bid": None, "ask": None,
    }  # fmt: skip
    during = quote(parsed("global_quote", message, at=us("2026-01-02T15:00")))
    assert during["event_time"] == datetime(2026, 1, 2, 15, tzinfo=UTC)


def test_a_global_quote_of_delayed_data_has_another_title() -> None:
    assert quote(parsed("global_quote", {"Global Quote - DATA DELAYED BY 15 MINUTES": QUOTE}))["price"] == 112.13


def test_a_rate_has_bid_and_ask_where_they_are_numbers() -> None:
    found = quote(parsed("exchange_rate", {"Realtime Currency Exchange Rate": RATE}))
    assert (found["symbol"], found["price"], found["bid"], found["ask"]) == ("USD-JPY", 110.291, 110.2906, None)
    assert found["event_time"] == datetime(2026, 1, 2, 8, 16, 1, tzinfo=UTC)
    without = {name: value for name, value in RATE.items() if name[0] not in "89"}
    assert quote(parsed("exchange_rate", {"Realtime Currency Exchange Rate": without}))["bid"] is None


@pytest.mark.parametrize(
    ("channel", "message", "word"),
    [
        ("global_quote", {"Global Quote": QUOTE | {"05. price": "-"}}, "price"),
        ("global_quote", {"Global Quote": QUOTE | {"07. latest trading day": "2026-02-30"}}, "date"),
        ("global_quote", {"Global Quote": QUOTE | {"02. open": "1_0"}}, "open"),
        ("exchange_rate", {"Realtime Currency Exchange Rate": RATE | {"7. Time Zone": "Mars"}}, "timezone"),
        ("exchange_rate", {"Realtime Currency Exchange Rate": RATE | {"6. Last Refreshed": "now"}}, "time"),
        ("exchange_rate", {"Global Quote": QUOTE}, "malformed"),
        ("economic", economic(("2023-01-01", "1"), name="Hope"), "unknown_series"),
        ("economic:CPI", {"data": {"a": 1}}, "malformed"),
        ("weather", {}, "unknown_channel"),
    ],
)
def test_a_snapshot_that_cannot_be_used_is_refused_with_a_reason(channel: str, message: Any, word: str) -> None:
    assert [reject.reason for reject in parsed(channel, message).rejects] == [word]


def test_economic_values_are_observations_of_the_day_they_came() -> None:
    message = economic(("2023-01-01", "22671.096"), ("2022-01-01", "."), ("soon", "1"), ("2021-01-01", 5))
    found = parsed("economic:REAL_GDP", message, at=us("2026-01-02T23:59"))
    assert found.observations is not None
    plain = [(r["series"], r["date"], r["value"], r["vintage"]) for r in found.observations.to_pylist()]
    assert plain == [
        ("REAL_GDP", date(2023, 1, 1), 22671.096, date(2026, 1, 2)),
        ("REAL_GDP", date(2022, 1, 1), None, date(2026, 1, 2)),
        ("REAL_GDP", date(2021, 1, 1), 5.0, date(2026, 1, 2)),
    ]
    assert [reject.reason for reject in found.rejects] == ["date"]


def test_a_channel_that_names_no_series_is_read_by_the_title() -> None:
    for name, interval, series_ in (
        ("Real Gross Domestic Product", "quarterly", "REAL_GDP.QUARTERLY"),
        ("10-Year Treasury Constant Maturity Rate", "monthly", "TREASURY_YIELD"),
        ("3-Month Treasury Constant Maturity Rate", "daily", "TREASURY_YIELD.DAILY.3MONTH"),
    ):
        found = parsed("economic", economic(("2023-01-01", "1"), name=name, interval=interval))
        assert found.observations is not None
        assert found.observations["series"].to_pylist() == [series_]
