"""What the simulated market lists: assets with plausible values, and the pairs made of them in Binance's spelling."""

import math
from dataclasses import dataclass

from tickhouse.exchange import Instrument


@dataclass(frozen=True, slots=True)
class Asset:
    """Something that has a value. `value` is US dollars at first; volatilities are of one day; `beta` is how much of the
    market's move it takes part in."""

    name: str
    value: float
    sector: int
    beta: float
    volatility: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair: its instrument, the places of its two assets, and its share of all orders (not yet normalised)."""

    instrument: Instrument
    base: int
    quote: int
    weight: float


# Base assets by size: name, value in dollars, sector (0 money, 1 platforms, 2 payments, 3 fun, 4 finance, 5 services, 6 games).
_BASES = """
BTC 64000 1|ETH 3100 1|BNB 580 1|SOL 148 1|XRP 0.58 2|DOGE 0.124 3|ADA 0.41 1|AVAX 28.4 1|TRX 0.152 2|LINK 13.6 5
DOT 5.3 1|LTC 71 2|SHIB 0.0000172 3|BCH 352 2|UNI 8.1 4|NEAR 4.9 1|ICP 8.7 1|ETC 20.4 1|XLM 0.101 2|APT 7.4 1
FIL 4.3 5|HBAR 0.064 1|ATOM 5.1 1|ARB 0.67 1|OP 1.63 1|INJ 21.5 4|IMX 1.42 6|GRT 0.176 5|AAVE 131 4|MKR 2240 4
VET 0.0241 5|ALGO 0.137 1|FTM 0.59 1|EGLD 30.6 1|SAND 0.303 6|MANA 0.324 6|AXS 5.6 6|THETA 1.33 5|XTZ 0.73 1|EOS 0.54 1
CHZ 0.067 6|FLOW 0.62 6|NEO 10.9 1|GALA 0.0213 6|KAVA 0.37 4|CRV 0.312 4|SNX 1.56 4|COMP 48.7 4|ZEC 29.8 2|DASH 25.1 2
ENJ 0.163 6|LDO 1.12 4|RUNE 4.6 4|CAKE 1.84 4|QNT 71.3 5|ROSE 0.071 1|ONE 0.0134 1|ZIL 0.0154 1|IOTA 0.143 5|KSM 19.8 1
BAT 0.184 5|SUSHI 0.69 4|ANKR 0.0252 5|CELO 0.53 1|QTUM 2.41 1|ICX 0.142 1|ONT 0.193 1|RVN 0.0171 2|ZRX 0.33 4|HOT 0.00172 5
STORJ 0.41 5|SKL 0.0391 5|YFI 5260 4|BAL 2.12 4|BAND 1.17 5|OCEAN 0.57 5|FET 1.34 5|RNDR 6.3 5|PEPE 0.0000093 3|FLOKI 0.000144 3
BONK 0.0000221 3|WIF 2.03 3|SUI 0.93 1|SEI 0.32 1|TIA 5.8 1|JUP 0.84 4|PYTH 0.31 5|STX 1.64 1|LUNC 0.000083 1|GMT 0.151 6
APE 0.79 6|MASK 2.61 5|DYDX 1.27 4|ENS 22.4 5|BLUR 0.19 4|MAGIC 0.41 6|HIGH 1.51 6|LPT 14.1 5|SSV 24.7 4|WOO 0.182 4
CFX 0.143 1|AR 24.6 5|GMX 25.3 4|MINA 0.52 1|KLAY 0.151 1|LRC 0.152 4|NKN 0.084 5|OGN 0.091 4|PHA 0.112 5|POLYX 0.24 4
REEF 0.00143 4|SFP 0.73 5|SPELL 0.00056 4|SXP 0.26 2|TRB 61 5|TWT 0.97 5|UMA 2.33 4|WAVES 1.03 1|XEM 0.0163 2|XVS 7.2 4
"""
_MONEY = "USDT 1 0.0002|FDUSD 1 0.0002|USDC 1 0.0002|EUR 1.083 0.004|TRY 0.0304 0.006|BRL 0.182 0.008"
_QUOTES = (("USDT", 1.0, 999), ("FDUSD", 0.35, 40), ("USDC", 0.25, 50), ("BTC", 0.12, 80), ("ETH", 0.06, 40),
           ("BNB", 0.05, 40), ("TRY", 0.07, 40), ("EUR", 0.05, 25), ("BRL", 0.03, 20))  # fmt: skip
FIRST = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
"""Always listed first, since they are the symbols that people ask for first."""


def assets() -> list[Asset]:
    """Every asset that has a name."""
    found = []
    for rank, line in enumerate(_cells(_BASES)):
        name, value, sector = line
        found.append(
            Asset(name, float(value), int(sector), 0.9 + 0.1 * (rank * 7 % 8), 0.008 + 0.003 * math.log2(1 + rank))
        )
    return found + [Asset(name, float(value), 0, 0.0, float(daily)) for name, value, daily in _cells(_MONEY)]


def listings(count: int, known: list[Asset]) -> list[Listing]:
    """The `count` most traded pairs; when the names are used up, pairs called SIM0001USDT and so on join `known`.

    >>> [listing.instrument.symbol for listing in listings(3, assets())]
    ['BTCUSDT', 'ETHUSDT', 'BNBUSDT']
    """
    place = {asset.name: index for index, asset in enumerate(known)}
    bases = len(list(_cells(_BASES)))
    found = []
    for quote, share, size in _QUOTES:
        for rank, base in enumerate(known[: min(size, bases)]):
            if base.name != quote and not (quote in ("ETH", "BNB") and base.name in ("BTC", "ETH")):
                found.append(_listing(known, place[base.name], place[quote], share / (1 + rank) ** 1.05))
    order = {symbol: number for number, symbol in enumerate(FIRST)}
    found.sort(key=lambda one: (order.get(one.instrument.symbol, len(order)), -one.weight))
    for number in range(1, count - len(found) + 1):
        known.append(Asset(f"SIM{number:04d}", 0.05 * 1.7 ** (number % 19), 1 + number % 6, 1.0, 0.03))
        found.append(_listing(known, len(known) - 1, place["USDT"], 1 / (bases + number) ** 1.05))
    return found[:count]


def _listing(known: list[Asset], base: int, quote: int, weight: float) -> Listing:
    price = known[base].value / known[quote].value
    size = math.floor(math.log10(known[base].value))
    price_decimals = min(max(4 - math.floor(math.log10(price)), 2), 8)
    quantity_decimals = min(max(1 + size, 0), 5, 8 - price_decimals)
    first = max(round(price * 10**price_decimals), 1)
    names = known[base].name, known[quote].name
    return Listing(Instrument("".join(names), *names, price_decimals, quantity_decimals, first), base, quote, weight)


def _cells(text: str) -> list[list[str]]:
    return [cell.split() for line in text.strip().splitlines() for cell in line.split("|")]
