"""Ticks as one JSON message each, and back bit for bit, in columns."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tickhouse.core.batches import NO_ID, TickBatch
from tickhouse.core.model import TICK
from tickhouse.journal import _codec as codec

SCHEMA: dict[str, Any] = {
    "symbol": pl.String, "event_time": pl.Int64, "received_at": pl.Int64, "price": pl.Float64, "size": pl.Float64,
    "first_id": pl.Int64, "last_id": pl.Int64, "conditions": pl.String, "raw": pl.Int64,
}  # fmt: skip
NAN = np.float64(np.nan).view(np.int64)


def texts(ticks: TickBatch, first: int) -> list[bytes]:
    """A JSON object for each tick with the names of `model.TICK`: times are UTC microseconds, `raw` is a journal position."""
    empty = ticks.first_id == NO_ID, ticks.last_id == NO_ID
    columns = {
        "symbol": pl.Series(list(ticks.symbols), dtype=pl.String).gather(ticks.symbol),
        "source": pl.repeat(ticks.source, len(ticks), eager=True),
        "event_time": ticks.event_time,
        "received_at": ticks.received_at,
        "price": pl.Series(ticks.price).set(pl.Series(~np.isfinite(ticks.price)), None),
        "size": pl.Series(ticks.size).set(pl.Series(~np.isfinite(ticks.size)), None),
        "first_id": pl.Series(ticks.first_id).set(pl.Series(empty[0]), None),
        "last_id": pl.Series(ticks.last_id).set(pl.Series(empty[1]), None),
        "conditions": pl.Series([text or None for text in ticks.conditions], dtype=pl.String).gather(ticks.condition),
        "raw": ticks.raw + first,
    }
    sink = io.BytesIO()
    pl.DataFrame({name: columns[name] for name in TICK.names}).write_ndjson(sink)
    return sink.getvalue().split(b"\n")[:-1]


def odd(ticks: TickBatch) -> bytes | None:
    """The rows whose numbers JSON cannot say (infinite ones), as they are; None where there is none."""
    strange = (
        ~np.isfinite(ticks.price) | np.isinf(ticks.size) | (np.isnan(ticks.size) & (ticks.size.view(np.int64) != NAN))
    )
    if not strange.any():
        return None
    return codec.pack([np.flatnonzero(strange), ticks.price[strange], ticks.size[strange]], [])


def columns(values: Sequence[bytes]) -> pl.DataFrame:
    """The columns of many ticks, parsed at once."""
    return pl.read_ndjson(io.BytesIO(b"\n".join(values)), schema=SCHEMA)


class Columns:
    """Ticks of many records side by side, cut into the batch of each."""

    def __init__(self, values: Sequence[bytes], symbols: Sequence[str], conditions: Sequence[str]) -> None:
        frame = columns(values)
        self._numbers = {
            name: np.array(frame[name].to_numpy())
            for name in ("event_time", "received_at", "price", "raw")
            if len(frame)
        }
        self._numbers["price"] = frame["price"].fill_null(np.nan).to_numpy()
        self._numbers["size"] = frame["size"].fill_null(np.nan).to_numpy()
        for name in ("first_id", "last_id"):
            self._numbers[name] = frame[name].fill_null(NO_ID).to_numpy()
        self._symbols, self._conditions = list(symbols), list(conditions)
        self._codes = {
            "symbol": _codes(frame["symbol"], self._symbols),
            "condition": _codes(frame["conditions"].fill_null(""), self._conditions),
        }
        self._places = {
            name: {text: i for i, text in enumerate(texts)}
            for name, texts in (("symbol", self._symbols), ("condition", self._conditions))
        }
        self._new = {
            name: np.zeros(len(texts), np.int32)
            for name, texts in (("symbol", self._symbols), ("condition", self._conditions))
        }

    def batch(
        self, part: slice, about: tuple[str, str], texts: tuple[Sequence[str], Sequence[str]], exact: bytes | None
    ) -> TickBatch:
        """The ticks of a slice, of a (source, lane), with these symbols and conditions."""
        numbers = {name: column[part] for name, column in self._numbers.items()}
        if exact is not None:
            (rows, prices, sizes), _ = codec.unpack(exact)
            numbers |= {name: numbers[name].copy() for name in ("price", "size")}
            numbers["price"][rows], numbers["size"][rows] = prices, sizes
        return TickBatch(
            source=about[0], lane=about[1], symbols=list(texts[0]), symbol=self._coded("symbol", part, texts[0]),
            conditions=list(texts[1]), condition=self._coded("condition", part, texts[1]), **numbers,
        )  # fmt: skip

    def _coded(self, name: str, part: slice, texts: Sequence[str]) -> Any:
        """Codes into the texts of one record."""
        new, places = self._new[name], self._places[name]
        new[[places[text] for text in texts]] = np.arange(len(texts), dtype=np.int32)
        return new[self._codes[name][part]]


def _codes(column: pl.Series, texts: Sequence[str]) -> Any:
    return column.cast(pl.Enum(texts)).to_physical().to_numpy().astype(np.int32)
