"""Messages of every channel of Binance."""

import json

from tests.feeds.binance_messages import AGGREGATE, CONTROL, KLINE, NASTY, OLD_TRADE, TRADE, trade, wrapped
from tests.feeds.samples import Samples
from tickhouse.feeds import binance

FRAMES = (
    TRADE,
    wrapped(AGGREGATE),
    trade(7, "ETHBTC"),
    OLD_TRADE + b" ",
    AGGREGATE,
    trade(9, "币安USDT"),
    wrapped(OLD_TRADE),
)
TRADES = [{"id": i, "price": "2.5", "qty": "4", "time": 1_767_225_600_000 + i} for i in range(3)]
AGGREGATES = [{"a": 9 + i, "p": "2.5", "q": "4", "f": 2 * i, "l": 2 * i + 1, "T": 1_767_225_600_000} for i in range(3)]
KLINES = [
    [1_767_225_600_000 + i * 60_000, "1", "3", "0.5", "2", "9", 1_767_225_659_999 + i * 60_000, "20", 7, "5", "1", "0"]
    for i in range(3)
]
TICKER = {
    "symbol": "BTCUSDT", "priceChange": "-94.5", "priceChangePercent": "-95.960", "prevClosePrice": "0.10002000",
    "lastPrice": "4.00000200", "bidPrice": "4.0", "askPrice": "4.1", "openPrice": "99.0", "highPrice": "100.0",
    "lowPrice": "0.1", "volume": "8913.30000000", "openTime": 1_767_139_200_000, "closeTime": 1_767_225_600_000,
}  # fmt: skip
TICKERS = (TICKER, [TICKER, {**TICKER, "symbol": "ETHBTC"}], {"symbol": "BTCUSDT", "price": "60650.00000000"})


def samples() -> list[Samples]:
    """One a channel."""
    feed = binance.open()
    found = [Samples(feed, channel, FRAMES, CONTROL, nasty=NASTY) for channel in ("trade", "aggTrade")]
    found.append(Samples(feed, "kline", (KLINE, wrapped(KLINE)), (TRADE, *CONTROL[1:]), nasty=NASTY))
    pages = {"historicalTrades": TRADES, "trades": TRADES, "aggTrades": AGGREGATES, "klines": KLINES}
    for channel, rows in pages.items():
        bodies = tuple(json.dumps(rows[:n]).encode() for n in (1, 2, 3))
        found.append(Samples(feed, f"{channel}:BTCUSDT", bodies, (b"[]", b'{"code":-1,"msg":"no"}'), nasty=NASTY))
    tickers = tuple(json.dumps(one).encode() for one in TICKERS)
    found.append(Samples(feed, "ticker", tickers, (b"[]",), nasty=NASTY))
    return found
