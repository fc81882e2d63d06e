"""Tables as JSON, CSV and Arrow; which one a client wants; compression and conditional answers."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip
from pyarrow import csv
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tickhouse.core.clock import SECOND
from tickhouse.core.times import microseconds, rfc3339

MEDIA = {"json": "application/json", "csv": "text/csv; charset=utf-8", "arrow": "application/vnd.apache.arrow.stream"}
NAMES = {kind.partition(";")[0]: name for name, kind in MEDIA.items()} | {"application/x-arrow": "arrow"}
SMALL = 1024
TIMES = frozenset(
    ("start", "end", "known_at", "at", "event_time", "received_at", "first", "last", "first_start", "last_start")
)


def negotiate(accept: str | None, wanted: str | None, offered: Sequence[str] = tuple(MEDIA)) -> str:
    """The format to answer in: `wanted` before the Accept header, the first of equals.

    Raises HTTPException 406 when none is accepted.

    >>> negotiate("text/csv, */*;q=0.1", None), negotiate("text/*", None), negotiate(None, "arrow")
    ('csv', 'csv', 'arrow')
    """
    if wanted and wanted in offered:
        return wanted
    if not accept or not accept.strip() or wanted:
        return offered[0]
    weights = [(_weight(MEDIA[name].partition(";")[0], accept), name) for name in offered]
    weights += [(_weight(kind, accept), name) for kind, name in NAMES.items() if name in offered]
    best = max(weight for weight, _ in weights)
    if best <= 0:
        allowed = ", ".join(MEDIA[name].partition(";")[0] for name in offered)
        raise HTTPException(406, f"Accept: {accept[:120]} cannot be met here; possible are {allowed}")
    return next(name for weight, name in weights if weight == best)


def _weight(kind: str, accept: str) -> float:
    """How much a client wants a media type, 0 to 1: the most specific range decides."""
    found = (-1, 0.0)
    for part in accept.split(","):
        name, *options = (text.strip().lower() for text in part.split(";"))
        closeness = {kind: 2, kind.partition("/")[0] + "/*": 1, "*/*": 0}.get(name)
        if closeness is not None:
            quality = next((_number(option[2:]) for option in options if option.startswith("q=")), 1.0)
            found = max(found, (closeness, quality))
    return found[1]


def _number(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def time_texts(us: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
    """Times in UTC microseconds as RFC 3339 texts, with decimals only where there are any.

    >>> time_texts(np.array([0, 1_500_000]))
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500000Z']
    """
    moments = us.astype("M8[us]")
    whole = us % SECOND == 0
    unit: Any = "s" if whole.all() else "us"
    texts: list[str] = np.char.add(np.datetime_as_string(moments, unit=unit), "Z").tolist()
    if unit == "us" and whole.any():
        return [t[:19] + "Z" if w else t for t, w in zip(texts, whole.tolist(), strict=True)]
    return texts


def values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column as JSON has them: times as text, NaN left to the encoder, which writes null."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        if column.null_count:
            return [None if us is None else rfc3339(us) for us in column.cast(pa.int64()).to_pylist()]
        return time_texts(column.cast(pa.int64()).to_numpy())
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        numbers: list[Any] = column.to_numpy().tolist()
        return numbers
    found: list[Any] = column.to_pylist()
    return found


@cache
def row_type(names: tuple[str, ...]) -> Callable[..., msgspec.Struct]:
    """A compact type for rows with these names; its instances encode much faster than dicts."""
    return msgspec.defstruct("Row", names, gc=False)


def rows(table: pa.Table, extra: Mapping[str, Sequence[Any]] | None = None) -> list[msgspec.Struct]:
    """The rows of a table, ready to encode; `extra` are further columns."""
    columns = {name: values(table[name]) for name in table.column_names} | dict(extra or {})
    make = row_type(tuple(columns))
    return [make(*row) for row in zip(*columns.values(), strict=True)]


def plain(value: Any, times: frozenset[str] = TIMES, name: str = "") -> Any:
    """A nested answer with its times as texts: datetimes, and integers under one of the names in `times`.

    >>> plain({"start": 0, "trades": 0})
    {'start': '1970-01-01T00:00:00Z', 'trades': 0}
    """
    if isinstance(value, Mapping):
        return {key: plain(one, times, key) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, times, name) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "timestamp"):
        return rfc3339(microseconds(value))
    if name in times and isinstance(value, int) and not isinstance(value, bool):
        return rfc3339(value)
    return value


def to_csv(table: pa.Table) -> bytes:
    """A table as CSV with a header; times as RFC 3339, NaN and null as nothing."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = pa.array(values(column), pa.string())
        elif pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        columns[name] = column
    sink = io.BytesIO()
    csv.write_csv(pa.table(columns), sink, csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()


def to_arrow(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream; its schema carries the metadata of the table."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@dataclass(frozen=True, slots=True)
class Answer:
    """An encoded answer and what belongs into its headers."""

    body: bytes
    form: str = "json"
    next: str | None = None
    cache: str = "no-cache"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, asked: "Asked") -> Response:
        """The answer as a response: 304 when the client has it already, compressed when the client can."""
        tag = f'W/"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": self.cache, "Vary": "Accept, Accept-Encoding", **self.headers}
        if self.next:
            headers["Link"] = f'<{self.next}>; rel="next"'
        if tag in asked.none_match:
            return Response(status_code=304, headers=headers)
        body = self.body
        if asked.gzip and len(body) > SMALL:
            body, headers["Content-Encoding"] = igzip.compress(body, 1, mtime=0), "gzip"
        return Response(body, headers=headers, media_type=MEDIA[self.form])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about the form of its answer."""

    form: str
    gzip: bool = False
    none_match: tuple[str, ...] = ()

    @classmethod
    def of(cls, headers: Mapping[str, str], wanted: str | None, offered: Sequence[str] = tuple(MEDIA)) -> "Asked":
        """From the headers of a request and its parameter `format`."""
        coding = headers.get("accept-encoding", "")
        tags = tuple(tag.strip() for tag in headers.get("if-none-match", "").split(","))
        return cls(negotiate(headers.get("accept"), wanted, offered), _weight("gzip", _as_types(coding)) > 0, tags)


def _as_types(coding: str) -> str:
    return ",".join(part for part in coding.split(",") if part.strip().lower().startswith("gzip"))
