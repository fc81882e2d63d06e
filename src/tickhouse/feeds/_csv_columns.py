"""Lines to columns: the kernels on all lines of a batch, the strict reader on those that they leave."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I32, I64, U8, RawBatch
from tickhouse.core.errors import BadSetting
from tickhouse.core.kernels.delimited import CONTROL, DATA, EMPTY, REFUSED, TAKEN, decimals, integers, split, texts
from tickhouse.core.kernels.moments import moments
from tickhouse.core.model import Kind, Reject
from tickhouse.core.symbols import canonical
from tickhouse.feeds._csv_layout import NUMBERS, OPTIONAL, PRICES, TEXTS, WHOLE, Layout, zone
from tickhouse.feeds._csv_line import Refused, decoded, is_control, read_line

NONE = -1


@dataclass(slots=True)
class Columns:
    """The lines of a batch as arrays of its length; what stands at lines that are not parsed has no meaning.

    `time` are UTC microseconds; `floats` and `integers` by column name; `codes` of texts are places in `words`.
    """

    kinds: U8
    time: I64
    local: U8
    floats: dict[str, F64]
    integers: dict[str, I64]
    codes: dict[str, I32]
    words: dict[str, list[str]]
    rejects: list[Reject]

    def reject(self, index: int, reason: str, detail: str) -> None:
        """Refuse one line."""
        self.kinds[index] = Kind.REJECTED
        self.rejects.append(Reject(index, reason, detail))


def read_columns(raw: RawBatch, layout: Layout) -> Columns:
    """The columns of a batch of lines."""
    columns, doubtful = _plain(raw, layout)
    for index in doubtful.tolist():
        _judge(raw.payload(index), index, layout, columns)
    _to_utc(columns, layout)
    _scale(columns, layout)
    return columns


def _plain(raw: RawBatch, layout: Layout) -> tuple[Columns, I64]:
    """What the kernels take, and the lines that they leave to the strict reader."""
    names = [*layout.columns]
    slots = np.full(layout.width, NONE, np.int64)
    for slot, name in enumerate(names):
        slots[layout.columns[name]] = slot
    data = raw.data.view()
    data.flags.writeable = False
    n = len(raw)
    fields, state = np.zeros((2, len(names), n), np.int64), np.empty(n, np.uint8)
    lines = np.ascontiguousarray(raw.offsets), np.ascontiguousarray(raw.ends)
    split(data, lines, (ord(layout.separator), ord(layout.comment)), slots, fields, state)
    place = {name: (fields[0, slot], fields[1, slot]) for slot, name in enumerate(names)}
    time, local, verdict = moments(data, place["time"], place.get("clock"), layout.day_first, layout.day_us)
    good = (state == DATA) & (verdict == TAKEN)
    columns = Columns(np.empty(0, np.uint8), time, local, {}, {}, {}, {}, [])
    point = layout.decimal.encode()
    for name in names:
        taken: NDArray[Any] | None = None
        if name in NUMBERS:
            columns.floats[name], taken = decimals(data, *place[name], point)
        elif name in WHOLE:
            columns.integers[name], taken = integers(data, *place[name])
        elif name in TEXTS:
            columns.codes[name], columns.words[name], taken = _words(data, place[name], name, layout)
        if taken is not None:
            good &= (taken == TAKEN) | ((taken == EMPTY) & (name in OPTIONAL))
    if "symbol" not in columns.codes:
        columns.codes["symbol"], columns.words["symbol"] = np.zeros(n, np.int32), [layout.symbol]
    columns.kinds = np.where(good, Kind.PARSED, Kind.CONTROL).astype(np.uint8)
    return columns, np.flatnonzero(~good & (state != CONTROL))


def _words(data: U8, field: tuple[I64, I64], name: str, layout: Layout) -> tuple[I32, list[str], U8]:
    """The texts of a column as codes of a list; those that are no symbol, or not UTF-8, are refused."""
    coded = texts(data, *field).dictionary_encode()
    place: dict[str, int] = {"": 0} if name == "conditions" else {}
    read: Callable[[str], str] = canonical if name == "symbol" else str
    own = []
    for word in coded.dictionary.to_pylist():
        try:
            text = word.decode().strip(" \t")
            text = layout.symbol if name == "symbol" and layout.symbol and not text else read(text)
            own.append(place.setdefault(text, len(place)) if text.isprintable() else NONE)
        except (BadSetting, UnicodeDecodeError):
            own.append(NONE)
    codes = np.array(own, np.int32)[np.asarray(coded.indices, np.int64)] if own else np.empty(0, np.int32)
    return codes, list(place), np.where(codes == NONE, REFUSED, TAKEN).astype(np.uint8)


def _judge(line: bytes, index: int, layout: Layout, columns: Columns) -> None:
    """Read one line strictly and put its values into the columns."""
    text = decoded(line)
    if is_control(text, layout):
        columns.kinds[index] = Kind.CONTROL
        return
    try:
        row = read_line(text, layout)
    except Refused as refused:
        columns.reject(index, refused.reason, refused.detail)
        return
    columns.kinds[index] = Kind.PARSED
    columns.time[index], columns.local[index] = row.time, row.local
    for name, value in row.values.items():
        columns.floats[name][index] = value
    for name, number in row.integers.items():
        columns.integers[name][index] = number
    for name, text in row.texts.items():
        words = columns.words[name]
        if text not in words:
            words.append(text)
        columns.codes[name][index] = words.index(text)


def _to_utc(columns: Columns, layout: Layout) -> None:
    """Turn local times into UTC. The earlier one of an hour that a clock goes through twice; one that it skips is refused."""
    where = zone(layout.tz)
    rows = np.flatnonzero((columns.kinds == Kind.PARSED) & (columns.local != 0))
    if not len(rows):
        return
    if isinstance(where, timedelta):
        columns.time[rows] -= where // timedelta(microseconds=1)
        return
    local = pl.Series(columns.time[rows]).cast(pl.Datetime("us"))
    moved = local.dt.replace_time_zone(layout.tz, ambiguous="earliest", non_existent="null")
    missing = moved.is_null().to_numpy()
    columns.time[rows] = moved.dt.epoch("us").fill_null(0).to_numpy()
    for index in rows[missing].tolist():
        columns.reject(index, "time", f"time: there was no such time in {layout.tz}; its clocks were put forward")


def _scale(columns: Columns, layout: Layout) -> None:
    if layout.scale != 1.0:
        columns.floats |= {name: values / layout.scale for name, values in columns.floats.items() if name in PRICES}


def usable(columns: Columns, quote: tuple[str, ...]) -> None:
    """Refuse the lines whose quote has a side that is not above zero: there is no price in it."""
    for name in quote:
        for index in np.flatnonzero((columns.kinds == Kind.PARSED) & ~(columns.floats[name] > 0)).tolist():
            columns.reject(
                index, "price", f"{name}: got {columns.floats[name][index]:g}; a quote with one side gives no price"
            )


def sorted_rejects(columns: Columns) -> tuple[Reject, ...]:
    """The rejects in order of their lines."""
    return tuple(sorted(columns.rejects, key=lambda reject: reject.index))


def compacted(words: list[str], codes: I32) -> tuple[list[str], I32]:
    """The words that occur, and codes of them.

    >>> compacted(["A", "B", "C"], np.array([2, 2, 0], np.int32))
    (['A', 'C'], array([1, 1, 0], dtype=int32))
    """
    used = np.flatnonzero(np.bincount(codes, minlength=1))
    place = np.zeros(len(words) + 1, np.int32)
    place[used] = np.arange(len(used))
    return [words[code] for code in used.tolist()] if len(codes) else [], place[codes]
