"""How Alpha Vantage heads its series: titles, numbered meta data, the clocks and the digits of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

NEW_YORK, UTC = ZoneInfo("America/New_York"), ZoneInfo("UTC")
OURS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h"}
SHARES, MONEY, COINS = 4, 5, 6
"""Digits behind the point."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a series is written: its title, its meta data (`*` stands for the time of the newest row), the length of its bars, the
    digits of its prices, and the clocks of its times, none for days."""

    title: str
    meta: Mapping[str, str]
    interval: str
    digits: int
    zone: tzinfo | None = None


def days_form(symbol: str, adjusted: bool, full: bool) -> Form:
    """Days of a share."""
    plain = "Daily Prices (open, high, low, close) and Volumes"
    what = "Daily Time Series with Splits and Dividend Events" if adjusted else plain
    meta = {"Symbol": symbol, "Last Refreshed": "*", "Output Size": _size(full), "Time Zone": "US/Eastern"}
    return Form("Time Series (Daily)", _numbered(what, meta), "1d", SHARES)


def minutes_form(symbol: str, interval: str, full: bool) -> Form:
    """Minutes of a share."""
    meta = {"Symbol": symbol, "Last Refreshed": "*", "Interval": interval, "Output Size": _size(full)}
    what = f"Intraday ({interval}) open, high, low, close prices and volume"
    numbered = _numbered(what, {**meta, "Time Zone": "US/Eastern"})
    return Form(f"Time Series ({interval})", numbered, OURS[interval], SHARES, NEW_YORK)


def pair_form(function: str, pair: tuple[str, str], interval: str, full: bool) -> Form:
    """Days or minutes of two currencies, or of a coin in one."""
    base, quote = pair
    money = {"From Symbol": base, "To Symbol": quote}
    coin = {"Digital Currency Code": base, "Digital Currency Name": base, "Market Code": quote, "Market Name": quote}
    if function == "FX_DAILY":
        meta = {**money, "Output Size": _size(full), "Last Refreshed": "*", "Time Zone": "UTC"}
        return Form(
            "Time Series FX (Daily)", _numbered("Forex Daily Prices (open, high, low, close)", meta), "1d", MONEY
        )
    if function == "DIGITAL_CURRENCY_DAILY":
        meta = {**coin, "Last Refreshed": "*", "Time Zone": "UTC"}
        what = "Daily Prices and Volumes for Digital Currency"
        return Form("Time Series (Digital Currency Daily)", _numbered(what, meta), "1d", COINS)
    kind, names, digits = ("FX", money, MONEY) if function == "FX_INTRADAY" else ("Crypto", coin, COINS)
    meta = {**names, "Last Refreshed": "*", "Interval": interval, "Output Size": _size(full), "Time Zone": "UTC"}
    what = f"Intraday ({interval}) Time Series"
    return Form(f"Time Series {kind} ({interval})", _numbered(what, meta), OURS[interval], digits, UTC)


def _numbered(what: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{place}. {name}": value for place, (name, value) in enumerate({"Information": what, **values}.items(), 1)}


def _size(full: bool) -> str:
    return "Full size" if full else "Compact"
