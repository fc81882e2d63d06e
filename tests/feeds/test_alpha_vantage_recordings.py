"""The feed on every message that others captured from the live service, against values read out in another way."""

import csv as plain_csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadCredentials, BadMessage, BadSetting, RateLimited, UnknownSymbol
from tickhouse.core.model import Kind, interval_us
from tickhouse.core.requests import Answer
from tickhouse.feeds import alpha_vantage, csv
from tickhouse.feeds._csv_files import blocks
from tickhouse.feeds._csv_sniff import sniff

NOW = 1_792_000_000_000_000
NEW_YORK = "America/New_York"
ERRORS = {
    "200_empty_global_quote.json": UnknownSymbol, "200_error_message_bad_key.json": BadCredentials,
    "200_error_message_bad_symbol.json": UnknownSymbol, "200_information_daily_limit.json": RateLimited,
    "200_information_daily_limit_key_echo.json": RateLimited, "200_information_premium.json": BadCredentials,
    "200_note_per_minute.json": RateLimited,
}  # fmt: skip
SERIES = {
    "daily_IBM": ("daily", "IBM", "Time Series (Daily)", 7),
    "fx_daily_EUR_AUD": ("fx_daily", "EUR-AUD", "Time Series FX (Daily)", 8),
    "intraday_1min_MSFT_2017-12-18": ("intraday", "MSFT", "Time Series (1min)", 100),
}
NO_PRICES = ("overview_IBM.json", "symbol_search_BA.json", "symbol_search_IBM.json")
FILES = ("intraday_15min_AAPL_2023-01-31_head.csv", "intraday_extended_1min_MSFT_2020-12.csv")


def parsed(channel: str, payload: bytes, at: int = NOW) -> Parsed:
    feed = alpha_vantage.open()
    assert feed.classify(Answer(200, {}, payload, at)) is None
    return feed.parse(RawBatch.of("alpha_vantage", channel, [payload], at))


def us(text: str, zone: str) -> int:
    """A clock of a place as microseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1e6)


def test_all_recordings_are_used(recordings: Path) -> None:
    quotes = (
        "global_quote_MSFT_2018-10-05",
        "currency_exchange_rate_BTC_CNY_2017",
        "currency_exchange_rate_USD_JPY_2021-04-06",
    )
    known = {f"{name}.json" for name in (*SERIES, *quotes, "real_gdp_annual_2024-10")} | {*NO_PRICES, *FILES}
    known |= {"index.json", "errors", "daily_adjusted_full", "physical_currency_list.csv"}
    assert {path.name for path in (recordings / "alpha_vantage").iterdir()} == known
    assert {path.name for path in (recordings / "alpha_vantage" / "errors").iterdir()} == set(ERRORS)


@pytest.mark.parametrize("name", SERIES)
def test_every_series_is_its_bars(recordings: Path, name: str) -> None:
    """Each row by Python's own JSON and calendar."""
    channel, symbol, title, count = SERIES[name]
    payload = (recordings / "alpha_vantage" / f"{name}.json").read_bytes()
    rows = sorted(json.loads(payload)[title].items())
    found = parsed(channel, payload)
    bars = found.bars
    assert bars is not None
    assert (len(bars), len(rows), found.rejects, list(bars.symbols)) == (count, count, (), [symbol])
    assert bars.start.tolist() == [us(text, NEW_YORK if len(text) > 10 else "UTC") for text, _ in rows]
    for column, key in (("open", "1. open"), ("high", "2. high"), ("low", "3. low"), ("close", "4. close")):
        assert getattr(bars, column).tolist() == [float(row[key]) for _, row in rows]
    assert bars.volume.tolist() == [float(row.get("5. volume", 0)) for _, row in rows]
    assert set(bars.interval.tolist()) == {interval_us("1m" if channel == "intraday" else "1d")}
    assert found.actions is None and found.quotes is None


def test_known_bars(recordings: Path) -> None:
    bars = parsed("intraday", (recordings / "alpha_vantage" / "intraday_1min_MSFT_2017-12-18.json").read_bytes()).bars
    assert bars is not None
    assert bars.start[-1] == us("2017-12-18T19:56", "UTC"), "14:56 in New York, in winter"
    assert (bars.open[-1], bars.close[-1], bars.volume[-1]) == (86.49, 86.5, 10494.0)


def test_the_quote_and_the_rates(recordings: Path) -> None:
    folder = recordings / "alpha_vantage"
    expected: list[tuple[str, str, dict[str, Any]]] = [
        ("global_quote", "global_quote_MSFT_2018-10-05", {
            "symbol": "MSFT", "event_time": datetime(2018, 10, 5, 20, tzinfo=UTC), "price": 112.13, "change": -0.66,
            "change_percent": -0.5852, "day_open": 112.63, "day_high": 113.17, "day_low": 110.64, "day_volume": 29062853.0,
            "previous_close": 112.79,
        }),
        ("exchange_rate", "currency_exchange_rate_BTC_CNY_2017", {
            "symbol": "BTC-CNY", "event_time": datetime(2017, 12, 20, 19, 23, 21, tzinfo=UTC), "price": 109631.430607,
        }),
        ("exchange_rate", "currency_exchange_rate_USD_JPY_2021-04-06", {
            "symbol": "USD-JPY", "event_time": datetime(2021, 4, 6, 8, 16, 1, tzinfo=UTC), "price": 110.291, "bid": 110.2906,
            "ask": 110.2956,
        }),
    ]  # fmt: skip
    for channel, name, values in expected:
        found = parsed(channel, (folder / f"{name}.json").read_bytes())
        assert found.quotes is not None
        (row,) = found.quotes.to_pylist()
        assert {k: v for k, v in row.items() if v is not None and k not in ("source", "raw", "received_at")} == values


@pytest.mark.parametrize("channel", ["economic:REAL_GDP", "economic"])
def test_the_economic_series_is_its_observations(recordings: Path, channel: str) -> None:
    payload = (recordings / "alpha_vantage" / "real_gdp_annual_2024-10.json").read_bytes()
    received = us("2024-10-15T12:00", "UTC")
    found = parsed(channel, payload, received)
    points = json.loads(payload)["data"]
    assert found.observations is not None
    rows = found.observations.to_pylist()
    assert [(row["date"].isoformat(), row["value"]) for row in rows] == [(p["date"], float(p["value"])) for p in points]
    assert {(row["series"], row["vintage"]) for row in rows} == {("REAL_GDP", date(2024, 10, 15))}
    assert (len(rows), rows[0]["value"], rows[-1]["date"]) == (95, 22671.096, date(1929, 1, 1))


@pytest.mark.parametrize("name", ERRORS)
def test_every_refusal_is_classified_and_none_is_shown(recordings: Path, name: str) -> None:
    payload = (recordings / "alpha_vantage" / "errors" / name).read_bytes()
    found = alpha_vantage.open().classify(Answer(200, {}, payload, NOW))
    assert type(found) is ERRORS[name]
    assert "REDACTED" not in str(found) and "alphavantage.co/premium" not in str(found)
    if isinstance(found, RateLimited):
        assert found.retry_after == 60.0 if "minute" in name else 3600 < (found.retry_after or 0) <= 90_000
    kinds = alpha_vantage.open().parse(RawBatch.of("alpha_vantage", "global_quote", [payload], NOW)).kinds
    assert kinds.tolist() == [Kind.CONTROL]


@pytest.mark.parametrize("name", NO_PRICES)
def test_answers_that_hold_no_prices_are_refused_as_such(recordings: Path, name: str) -> None:
    payload = (recordings / "alpha_vantage" / name).read_bytes()
    for channel in ("daily", "global_quote", "exchange_rate", "economic"):
        found = parsed(channel, payload)
        assert found.kinds.tolist() == [Kind.REJECTED]
        assert "in it, only" in found.rejects[0].detail


def loaded(path: Path, **declared: Any) -> Parsed:
    """A file through the feed of files, as `tickhouse load` takes it in."""
    layout = sniff(path, **declared)
    parts = blocks(path, 1 << 26)
    lines = [bytes(data[a:b]) for data, offsets, ends in parts for a, b in zip(offsets, ends, strict=True)]
    return csv.Csv(layout).parse(RawBatch.of("csv", layout.kind, lines[1:], NOW))


@pytest.mark.parametrize("name", ["AAPL", "IBM", "MSFT", "NVDA"])
def test_the_files_of_adjusted_days_load_through_the_feed_of_files_as_through_the_feed(
    recordings: Path, name: str
) -> None:
    """The same rows as JSON give the same bars, and the splits and dividends that are known."""
    path = recordings / "alpha_vantage" / "daily_adjusted_full" / f"{name}.csv"
    from_file = loaded(path, symbol=name).bars
    with path.open(newline="") as lines:
        rows = list(plain_csv.DictReader(lines))
    names = ("open", "high", "low", "close", "adjusted_close", "volume", "dividend_amount", "split_coefficient")
    series = {row["timestamp"]: {f"{i}. {n.replace('_', ' ')}": row[n] for i, n in enumerate(names, 1)} for row in rows}
    message = {"Meta Data": {"2. Symbol": name, "5. Time Zone": "US/Eastern"}, "Time Series (Daily)": series}
    found = parsed("daily_adjusted", json.dumps(message).encode())
    assert found.bars is not None and from_file is not None
    assert found.bars.start.tolist() == from_file.start.tolist()[::-1]
    for column in ("open", "high", "low", "close", "volume"):
        assert getattr(found.bars, column).tolist() == getattr(from_file, column).tolist()[::-1]
    actions = [] if found.actions is None else found.actions.to_pylist()
    splits = [(str(row["date"]), row["value"]) for row in actions if row["kind"] == "split"]
    assert splits == {
        "AAPL": [("2000-06-21", 2.0), ("2005-02-28", 2.0), ("2014-06-09", 7.0)], "IBM": [], "MSFT": [("2003-02-18", 2.0)],
        "NVDA": [("2000-06-27", 2.0), ("2001-09-17", 2.0), ("2006-04-07", 2.0), ("2007-09-11", 1.5)],
    }[name]  # fmt: skip
    paid = [float(row["dividend_amount"]) for row in reversed(rows) if float(row["dividend_amount"])]
    assert [row["value"] for row in actions if row["kind"] == "dividend"] == paid


def test_the_files_of_minutes_load_through_the_feed_of_files(recordings: Path) -> None:
    """The older one is stamped at the close of its minutes: the most is traded in 09:31, the minute after the opening."""
    folder = recordings / "alpha_vantage"
    bars = loaded(folder / FILES[0], symbol="AAPL", tz=NEW_YORK).bars
    assert bars is not None
    assert (len(bars), bars.start[0], bars.interval[0]) == (8, us("2023-01-31T15:45", NEW_YORK), interval_us("15m"))
    old = loaded(folder / FILES[1], symbol="MSFT", tz=NEW_YORK, stamped="close").bars
    assert old is not None
    assert (len(old), old.start[0]) == (11_190, us("2020-12-18T19:59", NEW_YORK))
    openings = {us(f"2020-12-{day:02}T09:30", NEW_YORK) for day in (14, 15, 16, 17)}
    assert all(old.volume[old.start == opening][0] > 300_000 for opening in openings)


def test_what_is_no_file_of_prices_and_what_is_no_json_are_said(recordings: Path) -> None:
    folder = recordings / "alpha_vantage"
    with pytest.raises(BadSetting, match="a column for time"):
        sniff(folder / "physical_currency_list.csv")
    for name in (FILES[0], "physical_currency_list.csv"):
        assert isinstance(alpha_vantage.open().classify(Answer(200, {}, (folder / name).read_bytes(), NOW)), BadMessage)
