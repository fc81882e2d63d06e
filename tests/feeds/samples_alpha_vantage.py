"""Messages of every channel of Alpha Vantage."""

from tests.feeds.alpha_vantage_messages import DAY, PREMIUM, QUOTE, RATE, adjusted, body, economic, forex, series
from tests.feeds.samples import Samples
from tickhouse.feeds import alpha_vantage

NASTY = (b'"', b",", b"null", b"{}", b"9" * 25, b"-", b".", b"1e308", b"inf", b"NaN", b"\xff", b"US/", b"%", b"5. ")
MINUTES = {"2026-01-02 09:31:00": DAY, "2026-01-02 09:30:00": DAY, "2026-01-02 04:00:00": DAY}
DAYS = {"2026-01-02": DAY, "2025-12-31": DAY}
ADJUSTED = {"2026-01-02": adjusted("0.25"), "2025-12-31": adjusted(split="4.0"), "2025-12-30": adjusted()}
CRYPTO = {"symbol": "", "digital_currency_code": "BTC", "market_code": "EUR", "time_zone": "UTC"}
GOOD = {
    "global_quote": ({"Global Quote": QUOTE}, {"Global Quote": QUOTE | {"06. volume": "None"}}),
    "exchange_rate": ({"Realtime Currency Exchange Rate": RATE},),
    "intraday:5m": (
        series(MINUTES, "Time Series (1min)"),
        series({"2026-01-02 09:30:00": DAY}, "Time Series (5min)", symbol="BRK-B"),
    ),
    "fx_intraday": (forex(MINUTES, "Time Series FX (5min)"),),
    "crypto_intraday": (series(MINUTES, "Time Series Crypto (5min)", **CRYPTO),),
    "daily": (series(DAYS), series(DAYS | {"2025-12-30": DAY | {"4. close": "-"}})),
    "daily_adjusted": (series(ADJUSTED), series({"2026-01-02": adjusted("0.25", "1.5")})),
    "fx_daily": (forex(DAYS),),
    "crypto_daily": (series(DAYS, "Time Series (Digital Currency Daily)", **CRYPTO),),
    "economic:REAL_GDP": (economic(("2023-01-01", "22671.096"), ("2022-01-01", ".")),),
}
REFUSALS = ({"Information": "25 requests per day"}, PREMIUM, {})


def samples() -> list[Samples]:
    """One a channel."""
    feed, end = alpha_vantage.open(), 1_768_000_000_000_000
    control, bad = tuple(map(body, REFUSALS)), (b"[]", b"<html>", b"timestamp,open", body({"bestMatches": []}))
    return [Samples(feed, channel, tuple(map(body, good)), control, bad, end, NASTY) for channel, good in GOOD.items()]
