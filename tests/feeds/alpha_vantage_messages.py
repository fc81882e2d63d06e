"""Messages in Alpha Vantage's forms, made for tests."""

import json
from typing import Any

DAY = {"1. open": "1.0", "2. high": "3.0", "3. low": "0.5", "4. close": "2.0", "5. volume": "9"}
QUOTE = {
    "01. symbol": "IBM", "02. open": "112.63", "03. high": "113.17", "04. low": "110.64", "05. price": "112.13",
    "06. volume": "29062853", "07. latest trading day": "2026-01-02",
    "08. previous close": "112.79", "09. change": "-0.66", "10. change percent": "-0.5852%",
}  # fmt: skip
RATE = {
    "1. From_Currency Code": "USD", "2. From_Currency Name": "United States Dollar", "3. To_Currency Code": "JPY",
    "5. Exchange Rate": "110.291", "6. Last Refreshed": "2026-01-02 08:16:01", "7. Time Zone": "UTC", "8. Bid Price": "110.2906",
    "9. Ask Price": "-",
}  # fmt: skip
PREMIUM = {
    "message": "This is a premium endpoint (25 requests per day)",
    "data": [{"date": "2026-01-02", "value": "1"}],
}


def body(value: Any) -> bytes:
    """The bytes of a JSON value, laid out as Alpha Vantage does."""
    return json.dumps(value, indent=4, ensure_ascii=False).encode()


def series(rows: dict[str, Any], title: str = "Time Series (Daily)", **meta: str) -> dict[str, Any]:
    """An answer with one time series; `meta` are plain names with underscores."""
    told = {"information": "made for tests", "symbol": "IBM", "time_zone": "US/Eastern"} | meta
    numbered = {
        f"{i}. {name.replace('_', ' ').title()}": value for i, (name, value) in enumerate(told.items(), 1) if value
    }
    return {"Meta Data": numbered, title: rows}


def forex(rows: dict[str, Any], title: str = "Time Series FX (Daily)") -> dict[str, Any]:
    """The same of a pair of currencies."""
    return series(rows, title, symbol="", from_symbol="EUR", to_symbol="USD", time_zone="UTC")


def adjusted(dividend: str = "0.0000", split: str = "1.0", **others: str) -> dict[str, str]:
    """A row of adjusted days."""
    extra = {
        "5. adjusted close": "1.9",
        "6. volume": "7",
        "7. dividend amount": dividend,
        "8. split coefficient": split,
    }
    return {name: value for name, value in DAY.items() if name != "5. volume"} | extra | others


def economic(
    *points: tuple[str, Any], name: str = "Real Gross Domestic Product", interval: str = "annual"
) -> dict[str, Any]:
    """An answer with an economic series."""
    return {
        "name": name,
        "interval": interval,
        "unit": "x",
        "data": [{"date": day, "value": value} for day, value in points],
    }
