"""Shares and pairs of currencies that the simulated market lists beside its coins, with plausible prices and habits."""

from dataclasses import dataclass

from tickhouse.exchange import Instrument


@dataclass(frozen=True, slots=True)
class Listed:
    """A share or a pair of currencies.

    Its value wanders by two walks, `own` and `other` (numbers), with a daily deviation each. `growth` is that of a year. `weight`
    is its share of all trades. `dividend` is paid four times a year, in the currency of the price; `split` is new shares for one
    old one, and the date since which they are. `volume` is how many of it change hands in a day, `place` where it is listed.
    """

    instrument: Instrument
    title: str
    value: float
    own: int
    own_daily: float
    other: int
    other_daily: float
    growth: float
    weight: float
    dividend: float = 0.0
    split: tuple[float, str] | None = None
    place: str = ""


# Symbol, price in dollars, daily deviation, part in the moves of all, growth a year, dividend a quarter, weight, place, name.
_SHARES = """
AAPL 251.30 0.011 1.1 0.09 0.26 9 NASDAQ Apple Inc.
MSFT 428.10 0.010 1.0 0.09 0.83 8 NASDAQ Microsoft Corporation
NVDA 141.20 0.021 1.6 0.16 0.01 10 NASDAQ NVIDIA Corporation
AMZN 219.60 0.013 1.2 0.08 0 7 NASDAQ Amazon.com, Inc.
GOOGL 186.40 0.013 1.1 0.08 0.20 6 NASDAQ Alphabet Inc.
META 592.70 0.014 1.2 0.08 0.50 5 NASDAQ Meta Platforms, Inc.
TSLA 338.90 0.026 1.7 0.06 0 8 NASDAQ Tesla, Inc.
SPY 588.20 0.002 1.0 0.07 1.75 12 ARCA SPDR S&P 500 ETF Trust
QQQ 512.60 0.004 1.2 0.08 0.72 9 NASDAQ Invesco QQQ Trust
BRK.B 462.30 0.007 0.8 0.06 0 2 NYSE Berkshire Hathaway Inc.
JPM 241.50 0.009 1.0 0.06 1.25 3 NYSE JPMorgan Chase & Co.
XOM 114.80 0.010 0.7 0.03 0.99 3 NYSE Exxon Mobil Corporation
KO 63.20 0.006 0.5 0.03 0.485 2 NYSE The Coca-Cola Company
PG 168.40 0.006 0.5 0.04 1.0065 2 NYSE The Procter & Gamble Company
DIS 109.70 0.011 1.0 0.02 0.25 3 NYSE The Walt Disney Company
IBM 226.90 0.009 0.8 0.04 1.67 2 NYSE International Business Machines Corporation
"""
_SPLITS = {"NVDA": (10.0, "2025-06-10"), "IBM": (2.0, "2025-09-15")}
MONEY = {
    "USD": (1.0, 0.0), "EUR": (1.083, 0.0042), "GBP": (1.262, 0.0045), "JPY": (0.00662, 0.0050), "CHF": (1.128, 0.0045),
    "CAD": (0.713, 0.0035), "AUD": (0.652, 0.0055), "NZD": (0.592, 0.0056), "SEK": (0.0938, 0.0055), "CNY": (0.1378, 0.0018),
    "TRY": (0.0286, 0.0060),
}  # fmt: skip
"""What currencies are worth in dollars, and how much that moves in a day."""
_PAIRS = (
    "EURUSD GBPUSD USDJPY USDCHF USDCAD AUDUSD NZDUSD EURGBP EURJPY EURCHF GBPJPY EURSEK USDSEK USDCNY USDTRY EURTRY EURCAD "
    "EURAUD"
)
TITLES = {
    "USD": "United States Dollar", "EUR": "Euro", "GBP": "British Pound Sterling", "JPY": "Japanese Yen", "CHF": "Swiss Franc",
    "CAD": "Canadian Dollar", "AUD": "Australian Dollar", "NZD": "New Zealand Dollar", "SEK": "Swedish Krona",
    "CNY": "Chinese Yuan", "TRY": "Turkish Lira",
}  # fmt: skip
CURRENCIES = tuple(MONEY)
ALL, ALL_DAILY = 1000, 0.0085
"""The walk of the whole market, and how much it moves in a day."""
OF_MONEY, _OF_SHARES = 2000, 3000


def listed() -> list[Listed]:
    """All of them, shares first.

    >>> [one.instrument.name for one in listed()][::12]
    ['AAPL', 'KO', 'EUR-JPY']
    """
    shares = [_share(number, line) for number, line in enumerate(_SHARES.strip().splitlines())]
    return shares + [_pair(text[:3], text[3:], rank) for rank, text in enumerate(_PAIRS.split())]


def _share(number: int, line: str) -> Listed:
    symbol, price, daily, part, growth, dividend, weight, place, title = line.split(maxsplit=8)
    instrument = Instrument(symbol, symbol, "USD", 2, 0, round(float(price) * 100), "equities")
    return Listed(
        instrument, title, float(price), _OF_SHARES + number, float(daily), ALL, ALL_DAILY * float(part), float(growth),
        float(weight), float(dividend), _SPLITS.get(symbol), place,
    )  # fmt: skip


def _pair(base: str, quote: str, rank: int) -> Listed:
    value, decimals = MONEY[base][0] / MONEY[quote][0], 3 if quote == "JPY" else 5
    instrument = Instrument(base + quote, base, quote, decimals, 0, round(value * 10**decimals), "forex")
    walks = [OF_MONEY + CURRENCIES.index(one) for one in (base, quote)]
    return Listed(
        instrument, f"{base}/{quote}", value, walks[0], MONEY[base][1], walks[1], -MONEY[quote][1], 0.0, 8 / (1 + rank),
        place="CCY",
    )  # fmt: skip
