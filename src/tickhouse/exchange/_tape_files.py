"""Reading tapes: files of trades as whole columns."""

import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import polars as pl

from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.exchange import I64
from tickhouse.exchange.tape import Recorded

UNIT = 10**8
ALIASES = {
    "symbol": ("symbol", "s", "ticker", "pair", "instrument"),
    "price": ("price", "p", "last", "trade_price", "px"),
    "quantity": ("quantity", "qty", "q", "size", "amount", "volume", "v"),
    "time": ("time", "timestamp", "event_time", "datetime", "date", "t", "ts", "transact_time"),
    "id": ("id", "trade_id", "tradeid", "tid", "agg_trade_id"),
    "maker": ("is_buyer_maker", "isbuyermaker", "m", "maker"),
    "side": ("side", "aggressor", "taker_side"),
}
DUMP = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match")
"""The columns of Binance's daily dumps of trades, which have no header."""
TEXT = (".ndjson", ".jsonl", ".json", ".txt")


class _Message(msgspec.Struct):
    e: str = ""
    s: str = ""
    T: int = 0
    p: str = ""
    q: str = ""
    m: bool = False
    t: int = -1
    a: int = -1
    f: int = -1
    l: int = -1  # noqa: E741


class _Line(_Message):
    raw: str | None = None
    data: _Message | None = None


class _Wrapped(_Message):
    data: _Message | None = None


def read(path: Path) -> Recorded:
    """The trades of a file.

    Raises `BadSetting` for a file that is missing or of an unknown kind, `BadMessage` for a damaged one.
    """
    if not path.is_file():
        raise BadSetting("tape", str(path), "a file that exists")
    kind = next((suffix for suffix in reversed(path.suffixes) if suffix not in (".gz", ".zst")), "")
    try:
        if kind in TEXT:
            with _opened(path) as lines:
                return messages(lines)
        if kind == ".csv":
            return _table(_csv(path), path)
        if kind == ".parquet":
            return _table(pl.read_parquet(path), path)
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise BadMessage(f"the tape {path} cannot be read: {error}") from error
    raise BadSetting("tape", str(path), "a file that ends in .csv, .parquet or .ndjson (also .gz, .zst)")


def messages(lines: IO[bytes] | Sequence[bytes]) -> Recorded:
    """The trades of provider messages, a line each; an aggregate trade becomes the trades that it covers, its quantity shared out.

    Where an instrument has both trades and aggregate trades, the trades are taken.
    """
    trades: list[tuple[Any, ...]] = []
    aggregates: list[tuple[Any, ...]] = []
    skipped = 0
    for line in lines:
        found = _decoded(line)
        if found is None or not found.s or found.e not in ("trade", "aggTrade"):
            skipped += bool(line.strip())
            continue
        price, quantity = _units(found.p), _units(found.q)
        if price is None or quantity is None:
            skipped += 1
        elif found.e == "trade":
            trades.append((found.s, found.t, price, quantity, found.T * 1000, found.m, -1))
        else:
            aggregates += _covered(found, price, quantity)
    single = {row[0] for row in trades}
    rows = trades + [row for row in aggregates if row[0] not in single]
    return _recorded(rows, skipped)


def _covered(found: _Message, price: int, quantity: int) -> Iterator[tuple[Any, ...]]:
    """The trades of an aggregate: equal parts, the rest with the last one."""
    count = found.l - found.f + 1
    share = quantity // count if count > 0 else 0
    for number in range(count):
        size = share if number < count - 1 else quantity - share * (count - 1)
        yield found.s, found.f + number, price, size, found.T * 1000, found.m, found.a


def _recorded(rows: list[tuple[Any, ...]], skipped: int) -> Recorded:
    names: dict[str, int] = {}
    codes = [names.setdefault(row[0], len(names)) for row in rows]
    columns = np.array([row[1:] for row in rows], np.int64).reshape(-1, 6).T
    id_, price, quantity, time, maker, order = columns.copy()
    return Recorded(list(names), np.array(codes, np.int64), id_, price, quantity, time, maker, order, skipped)


_lines, _wrapped = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Wrapped)


def _decoded(line: bytes) -> _Message | None:
    """The message of a line: the line itself, what a stream wrapped, or what a capture kept."""
    try:
        found: _Line | _Wrapped = _lines.decode(line)
        if isinstance(found, _Line) and found.raw is not None:
            found = _wrapped.decode(found.raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.data if found.data is not None else found


def _units(text: str) -> int | None:
    """A decimal text in units of 1e-8; None for what is no decimal above zero."""
    whole, _, part = text.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(part) > 8:
        return None
    units = int(whole or "0") * UNIT + int(part.ljust(8, "0"))
    return units if 0 < units < 2**62 else None


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True))
    return path.open("rb")


def _csv(path: Path) -> pl.DataFrame:
    """Everything as text; a file whose first line begins with a number has no header and is a dump of Binance."""
    with _opened(path) as stream:
        content = stream.read()
    first = content[:200].lstrip(b"\xef\xbb\xbf").split(b",", 1)[0].strip()
    if first.isdigit():
        table = pl.read_csv(content, has_header=False, infer_schema_length=0)
        return table.rename(dict(zip(table.columns, DUMP, strict=False)))
    return pl.read_csv(content, infer_schema_length=0)


def _table(table: pl.DataFrame, path: Path) -> Recorded:
    """Columns by the names people give them; without a symbol the file's name is the symbol."""
    names = {column.strip().lower().replace(" ", "_"): column for column in table.columns}
    found = {key: next((names[alias] for alias in known if alias in names), None) for key, known in ALIASES.items()}
    for need in ("price", "time"):
        if found[need] is None:
            raise BadSetting("tape", str(path), f"a column for the {need}, such as {', '.join(ALIASES[need][:3])}")
    price, quantity = _decimal(table, found["price"]), _decimal(table, found["quantity"])
    time = _times(table[found["time"] or ""])
    good = ~np.isnan(price) & (price > 0) & ~np.isnan(quantity) & (quantity > 0) & (time > 0)
    symbol = table[found["symbol"]].cast(pl.String) if found["symbol"] else pl.Series([_named(path)] * table.height)
    good &= symbol.is_not_null().to_numpy()
    text = symbol.filter(pl.Series(good))
    symbols = text.unique(maintain_order=True).to_list()
    places = {name: place for place, name in enumerate(symbols)}
    code = text.replace_strict(places, return_dtype=pl.Int64).to_numpy() if symbols else np.empty(0, np.int64)
    rows = int(good.sum())
    return Recorded(
        [name.upper().replace("-", "").replace("/", "") for name in symbols], code, _ids(table, found["id"])[good],
        np.rint(price[good] * UNIT).astype(np.int64), np.rint(quantity[good] * UNIT).astype(np.int64), time[good],
        _makers(table, found)[good], np.full(rows, -1), table.height - rows,
    )  # fmt: skip


def _named(path: Path) -> str:
    """The symbol that a file is called after: `BTCUSDT-trades-2026-01-01.csv` holds BTCUSDT."""
    return path.name.replace("_", "-").replace(".", "-").split("-")[0]


def _decimal(table: pl.DataFrame, name: str | None) -> Any:
    if name is None:
        return np.ones(table.height)
    column = table[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.replace_all(",", "", literal=True)
    return column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def _ids(table: pl.DataFrame, name: str | None) -> I64:
    if name is None:
        return np.full(table.height, -1)
    found: I64 = table[name].cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
    return found


def _makers(table: pl.DataFrame, found: dict[str, str | None]) -> I64:
    """1 where the aggressor sold."""
    name = found["maker"] or found["side"]
    if name is None:
        return np.zeros(table.height, np.int64)
    text = table[name].cast(pl.String).str.to_lowercase().str.strip_chars()
    sold: I64 = text.is_in(["true", "1", "t", "sell", "s", "ask"]).fill_null(False).cast(pl.Int64).to_numpy()
    return sold


def _times(column: pl.Series) -> I64:
    """Times as us: dates, ISO texts, or numbers since 1970 in s, ms, us or ns by their size; 0 for what is none."""
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count() < column.len():
            whole = column.cast(pl.Int64, strict=False)
            return _scaled(whole if whole.null_count() == column.null_count() else numbers)
        column = column.str.to_datetime(strict=False, time_zone="UTC", time_unit="us")
    if column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(0).to_numpy()
    return _scaled(column)


def _scaled(numbers: pl.Series) -> I64:
    values = numbers.fill_null(0).to_numpy()
    largest = float(np.abs(values).max()) if len(values) else 0.0
    if largest >= 1e17:
        factor, values = 1, values // 1000
    else:
        factor = 1 if largest >= 1e14 else 1000 if largest >= 1e11 else 1_000_000
    times: I64 = np.rint(values * factor).astype(np.int64)
    return times
