"""What a REST page of Binance means. The symbol stands in the channel: `aggTrades:BTCUSDT`, `klines:BTCUSDT:1m`.

historicalTrades, trades
    [{"id":1111468873,"price":"60650.00000000","qty":"0.02924000","quoteQty":"1773.40600000",
      "time":1634942949263,"isBuyerMaker":true,"isBestMatch":true}, ...]
aggTrades
    [{"a":966492862,"p":"60759.60000000","q":"0.00841000","f":1111480471,"l":1111480471,
      "T":1634944096633,"m":false,"M":true}, ...]
klines
    [[1634943780000,"60685.22000000","60729.84000000","60670.90000000","60719.27000000","21.63272000",
      1634943839999,"1313200.01340410",617,"12.28492000","745719.41022840","0"], ...]
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Kind, Reject
from tickhouse.feeds._binance_rows import (
    Candle,
    Names,
    Refused,
    Row,
    bar_batch,
    checked,
    decimal,
    decoded,
    ids,
    microseconds,
    tick_batch,
)  # fmt: skip

SECTIONS = {"historicalTrades": "trades", "trades": "trades", "aggTrades": "aggregates", "klines": "klines"}
"""Channel to the kind of page that its messages are."""


class _Trade(Struct):
    id: int
    price: str
    qty: str
    time: int

    def row(self, symbol: str) -> Row:
        """The tick of this trade."""
        price, size = decimal(self.price), decimal(self.qty, "size")
        return Row(symbol, microseconds(self.time), price, size, *ids(self.id, self.id))


class _Aggregate(Struct):
    p: str
    q: str
    f: int
    l: int  # noqa: E741
    T: int

    def row(self, symbol: str) -> Row:
        """The tick of this aggregate trade."""
        price, size = decimal(self.p), decimal(self.q, "size")
        return Row(symbol, microseconds(self.T), price, size, *ids(self.f, self.l))


class _Kline(Struct, array_like=True):
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    end: int
    quote_volume: str
    trades: int

    def candle(self, symbol: str, interval: str, received_at: int) -> Candle | None:
        """The bar of this kline, None while its window was still open when the page came."""
        if microseconds(self.end) >= received_at:
            return None
        prices = (self.open, self.high, self.low, self.close)
        return Candle(symbol, interval, self.start, prices, self.volume, self.quote_volume, self.trades, True)


class _Refusal(Struct):
    code: Raw | UnsetType = UNSET
    msg: Raw | UnsetType = UNSET


_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "trades": msgspec.json.Decoder(list[_Trade]),
    "aggregates": msgspec.json.Decoder(list[_Aggregate]),
    "klines": msgspec.json.Decoder(list[_Kline]),
}
_refusal = msgspec.json.Decoder(_Refusal)


def parse_page(raw: RawBatch, names: Names) -> Parsed:
    """Every page of the batch, many rows a message. A row that cannot be read is rejected alone, the others are taken."""
    channel, _, rest = raw.channel.partition(":")
    spelling, _, interval = rest.partition(":")
    section = SECTIONS[channel]
    try:
        if not spelling:
            raise Refused(
                "unknown_symbol", f"a page of {channel} does not say its symbol, and neither does the channel"
            )
        symbol = names.of(spelling)
    except Refused as refused:
        kinds = np.full(len(raw), Kind.REJECTED, np.uint8)
        return Parsed(kinds, rejects=tuple(refused.at(index) for index in range(len(raw))))
    if section == "klines":
        return _Pages(raw, section, lambda item, at: item.candle(symbol, interval or "1m", at)).bars()
    return _Pages(raw, section, lambda item, at: item.row(symbol)).ticks()


class _Pages:
    """Reads the pages of a batch row by row; `row_of(item, received_at)` gives None for a row that says nothing yet."""

    def __init__(self, raw: RawBatch, section: str, row_of: Callable[[Any, int], Any]) -> None:
        self.raw, self.section, self.row_of = raw, section, row_of
        self.kinds = np.zeros(len(raw), np.uint8)
        self.indexes: list[int] = []
        self.rejects: list[Reject] = []

    def ticks(self) -> Parsed:
        """The pages as ticks."""
        rows = self._rows(lambda row: row)
        return Parsed(
            self.kinds, tick_batch(self.raw, self.indexes, rows) if rows else None, rejects=tuple(self.rejects)
        )

    def bars(self) -> Parsed:
        """The pages as bars."""
        rows = self._rows(lambda candle: (candle, candle.values()))
        candles, values = [candle for candle, _ in rows], [row for _, row in rows]
        bars = bar_batch(self.raw, self.indexes, candles, values) if rows else None
        return Parsed(self.kinds, bars=bars, rejects=tuple(self.rejects))

    def _rows(self, finish: Callable[[Any], Any]) -> list[Any]:
        rows: list[Any] = []
        for index, payload in enumerate(self.raw.payloads()):
            try:
                items = page_items(payload, self.section)
            except Refused as refused:
                self.kinds[index] = Kind.REJECTED
                self.rejects.append(refused.at(index))
                continue
            found = self._readable(index, items, finish)
            rows.extend(found)
            self.indexes.extend([index] * len(found))
        return rows

    def _readable(self, index: int, items: Sequence[Any], finish: Callable[[Any], Any]) -> list[Any]:
        """The rows of one page that can be read; the page is control when it has none, and rejected when all are bad."""
        received_at, found, bad = int(self.raw.received_at[index]), [], 0
        for item in items:
            try:
                row = self.row_of(item, received_at)
                if row is not None:
                    found.append(finish(row))
            except Refused as refused:
                self.rejects.append(refused.at(index))
                bad += 1
        if not found:
            self.kinds[index] = Kind.REJECTED if bad else Kind.CONTROL
        return found


def page_items(payload: bytes, section: str) -> Sequence[Any]:
    """The items of a page; none when the page is a refusal (`{"code":-1121,"msg":"..."}`). Raises `Refused`."""
    checked(payload)
    if payload.lstrip()[:1] == b"{":
        refusal = decoded(_refusal, payload)
        if refusal.code is not UNSET and refusal.msg is not UNSET:
            return ()
    items: Sequence[Any] = decoded(_decoders[section], payload)
    return items
