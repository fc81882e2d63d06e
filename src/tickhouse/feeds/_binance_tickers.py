"""What Binance says of the last 24 hours of its pairs: the last price, the change, high and low, bid and ask.

    [{"symbol":"BTCUSDT","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.29628482",
      "prevClosePrice":"0.10002000","lastPrice":"4.00000200","lastQty":"200.00000000","bidPrice":"4.00000000",
      "askPrice":"4.00000200","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000",
      "volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,"closeTime":1499869899040,
      "firstId":28385,"lastId":28460,"count":76}, ...]
    {"symbol":"BTCUSDT","price":"60650.00000000"}                            (`ticker/price`: no time, so that of receipt)

The window rolls: it is not the day in UTC, so its volume is not that of a day, and says nothing of what was traded since.
"""

from msgspec import Struct

from tickhouse.feeds._binance_rows import Names, Refused, decimal, microseconds
from tickhouse.feeds._messages import Found, NotUnderstood, Row
from tickhouse.feeds._polled_json import Items


class _Ticker(Struct):
    symbol: str
    lastPrice: str | None = None
    price: str | None = None
    closeTime: int | None = None
    priceChange: str | None = None
    priceChangePercent: str | None = None
    openPrice: str | None = None
    highPrice: str | None = None
    lowPrice: str | None = None
    prevClosePrice: str | None = None
    bidPrice: str | None = None
    askPrice: str | None = None


COLUMNS = {
    "priceChange": "change", "priceChangePercent": "change_percent", "openPrice": "day_open", "highPrice": "day_high",
    "lowPrice": "day_low", "prevClosePrice": "previous_close", "bidPrice": "bid", "askPrice": "ask",
}  # fmt: skip
_tickers: Items[_Ticker] = Items(_Ticker)


def read_tickers(payload: bytes, received_at: int, names: Names) -> Found:
    """The quotes of one answer, one pair or a list of them. Raises `NotUnderstood`."""
    text = payload.strip()
    several = text if text[:1] == b"[" else b"[" + text + b"]"
    rows, refused = _tickers.rows(several, lambda ticker: _quote(ticker, received_at, names))
    return Found(rows, refused=refused)


def _quote(ticker: _Ticker, received_at: int, names: Names) -> Row:
    last = ticker.lastPrice if ticker.lastPrice is not None else ticker.price
    if last is None:
        raise NotUnderstood("price", f"{ticker.symbol[:40]} has no last price")
    try:
        stated = {column: getattr(ticker, name) for name, column in COLUMNS.items()}
        return {
            "symbol": names.of(ticker.symbol), "price": decimal(last),
            "event_time": received_at if ticker.closeTime is None else microseconds(ticker.closeTime),
            **{column: None if text is None else decimal(text, column) for column, text in stated.items()},
        }  # fmt: skip
    except Refused as bad:
        raise NotUnderstood(bad.reason, bad.detail) from bad
