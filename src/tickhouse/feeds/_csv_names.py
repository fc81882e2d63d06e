"""What people call the columns of their files."""

import re
from collections.abc import Sequence

NAMES: dict[str, tuple[str, ...]] = {
    "time": (
        "event_time", "trade_time", "ts_event", "sip_timestamp", "open_time", "opentime", "window_start", "timestamp", "datetime",
        "date_time", "time_utc", "gmt_time", "unix", "unix_timestamp", "epoch", "ts", "date", "time", "day", "start", "begin",
        "local_time", "t",
    ),
    "open": ("open", "o", "open_price", "opening_price", "first"),
    "high": ("high", "h", "high_price", "max"),
    "low": ("low", "l", "low_price", "min"),
    "close": ("close", "c", "close_price", "closing_price", "close_last"),
    "volume": ("volume", "vol", "v", "tick_volume", "tickvol", "base_volume", "share_volume"),
    "vwap": ("vwap", "vw", "wap", "average_price", "weighted_average"),
    "trades": ("trades", "trade_count", "tradecount", "number_of_trades", "num_trades", "transactions", "count", "n"),
    "price": ("price", "trade_price", "last_price", "px", "p", "last", "rate", "value"),
    "size": ("size", "quantity", "qty", "amount", "trade_size", "last_size", "shares", "lots", "q", "s"),
    "bid": ("bid", "bid_price", "bidprice"),
    "ask": ("ask", "ask_price", "askprice", "offer"),
    "symbol": ("symbol", "ticker", "instrument", "sym", "pair", "market", "product_id", "instrument_name", "tic", "currency_pair"),
    "id": ("id", "trade_id", "tradeid", "tid", "agg_trade_id", "aggtradeid"),
    "conditions": ("conditions", "condition", "cond", "sale_condition", "sale_conditions"),
}  # fmt: skip
"""Of each column its names, the likeliest first: where a file has several, the first of them counts."""

_EPOCH = r"\d{10}(\d{3}|\d{6}|\d{9})?"
_NUMBER = r"-?\d+(\.\d+)?([eE]-?\d+)?"
WITHOUT_HEADER = (
    (
        rf"{_EPOCH}(,{_NUMBER}){{5}},{_EPOCH},{_NUMBER},\d+(,{_NUMBER}){{3}}",
        "time,open,high,low,close,volume,,,trades,,,",
    ),
    (rf"\d+(,{_NUMBER}){{3}},{_EPOCH}(,[A-Za-z]+){{2}}", "id,price,size,,time,,"),
    (rf"\d+(,{_NUMBER}){{2}},\d+,\d+,{_EPOCH}(,[A-Za-z]+){{2}}", "id,price,size,,,time,,"),
    (rf"\d{{8}} \d{{9}}(,{_NUMBER}){{3}}", "time,bid,ask,"),
    (rf"\d{{8}} \d{{6}}(,{_NUMBER}){{5}}", "time,open,high,low,close,volume"),
)
"""Files without a header that are known by their shape, separators as commas: Binance's dumps of klines, trades and aggregate
trades; HistData's ticks and minutes."""


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """The columns that a header names, by our names.

    >>> columns_of(["<DATE>", "<OPEN>", "High", "2. low", "Close/Last", "Volume BTC"])
    {'time': 0, 'open': 1, 'high': 2, 'low': 3, 'close': 4, 'volume': 5}
    """
    plain = [re.sub(r"^\d+_", "", re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")) for name in header]
    found: dict[str, int] = {}
    for column, names in NAMES.items():
        place = next((plain.index(name) for name in names if name in plain), None)
        if place is None and column == "volume":
            place = next((i for i, name in enumerate(plain) if name.startswith("volume_")), None)
        if place is not None and place not in found.values():
            found[column] = place
    return found
