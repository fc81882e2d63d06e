"""What the writing process says to all that follow, by pub/sub: of what is only shown the newest, and all that is firm.

Nothing is kept in the server. Messages are numbered, so whoever missed one knows. A message is a MessagePack map: `run` and `n`,
the columns `ticks` and `forming`, `bars` (a list of columns), and `tables`, each as an Arrow stream.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from redis import Redis
from redis.exceptions import RedisError

from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.model import State, interval_us
from tickhouse.stores import Heard
from tickhouse.stores._redis_link import Address
from tickhouse.stores._redis_own import FIELDS, STATES, Lot
from tickhouse.stores.memory import REAL

TABLES = ("anomalies", "coverage", "switches")
MOST_ROWS = 50_000
"""Firm rows that wait; when there are more all are let go, and who follows is told to look into the stores."""
MOST_RUNS = 16
"""Writers that are remembered: those that were started last."""
BEAT_SECONDS = 1.0
"""How often something is said at least while the process works, and how often it is asked whether anybody hears."""
AGAIN_SECONDS = 3.0
"""How long after a failure it is subscribed again."""

Columns = Mapping[str, list[Any]]
pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder().decode


def channel(prefix: str) -> str:
    """Where changes are said."""
    return f"{prefix}:changes"


class Speaker:
    """Says changes, if anybody hears. `add` is called by the pipeline and keeps nobody waiting, `speak` by the writer."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client, self._channel = client, channel(prefix)
        self._run, self._number = uuid.uuid4().hex, 0
        self._firm: list[Output] = []
        self._rows = 0
        self._lock = Lock()
        self._heard = False
        self._asked = self._spoke = -BEAT_SECONDS

    def add(self, output: Output) -> None:
        """Take in what is firm of an output."""
        tables = (getattr(output, name) for name in TABLES)
        rows = sum(map(len, output.bars)) + sum(table.num_rows for table in tables if table is not None)
        if not rows:
            return
        with self._lock:
            self._firm.append(output)
            self._rows += rows
            if self._rows > MOST_ROWS:
                self._forget()

    def speak(self, lots: Sequence[Lot]) -> None:
        """Say what was just written, and what is firm. Raises what the client raises; what was to be said is then forgotten."""
        with self._lock:
            firm, self._firm, self._rows = self._firm, [], 0
            self._number += 1
        if not self._is_heard():
            return
        shown = {kind: columns for lot in lots for kind, columns in _shown(lot)}
        now = time.monotonic()
        if not shown and not firm and now - self._spoke < BEAT_SECONDS:
            self._number -= 1
            return
        self._spoke = now
        said = {
            "run": self._run, "n": self._number, **shown,
            "bars": [bars.columns() for output in firm for bars in output.bars],
            "tables": {name: _stream(tables) for name in TABLES if (tables := _tables(firm, name))},
        }  # fmt: skip
        self._client.publish(self._channel, pack(said))

    def failed(self) -> None:
        """Nothing could be said: what waits is forgotten, and who follows will know that something is missing."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._firm, self._rows = [], 0
        self._number += 1

    def _is_heard(self) -> bool:
        now = time.monotonic()
        if now - self._asked >= BEAT_SECONDS:
            self._asked = now
            found: Any = self._client.pubsub_numsub(self._channel)
            self._heard = any(count for _, count in found)
        return self._heard


class Follower:
    """`Changes` of one prefix. Belongs to one thread."""

    def __init__(self, address: Address) -> None:
        self._channel = channel(address.prefix)
        self._client = address.connect()
        self._not_before = 0.0
        self._talk: Any = None
        self._last: dict[str, int] = {}

    def next(self, seconds: float) -> Heard | None:
        """The next changes, waited for so many seconds; None when nothing was said, or the server is away."""
        until = time.monotonic() + seconds
        if self._talk is None and self._not_before > time.monotonic():
            time.sleep(seconds)
            return None
        try:
            talk = self._talk or self._subscribed()
            while (message := talk.get_message(timeout=max(0.0, until - time.monotonic()))) is None:
                if time.monotonic() >= until:
                    return None
        except RedisError:  # who reads values tells that the server is away
            self._hang_up()
            self._not_before = time.monotonic() + AGAIN_SECONDS
            return None
        return self._heard(unpack(message["data"]))

    def close(self) -> None:
        """Stop hearing."""
        self._hang_up()
        self._client.close()

    def _subscribed(self) -> Any:
        self._talk = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._talk.subscribe(self._channel)
        return self._talk

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None

    def _heard(self, said: dict[str, Any]) -> Heard:
        run, number = said["run"], said["n"]
        whole = not self._last or self._last.pop(run, 0) == number - 1
        self._last[run] = number
        if len(self._last) > MOST_RUNS:
            del self._last[next(iter(self._last))]
        forming = tuple(bars_of(said["forming"])) if "forming" in said else ()
        firm = tuple(batch for columns in said["bars"] for batch in bars_of(columns))
        tables = {name: pa.ipc.open_stream(data).read_all() for name, data in said["tables"].items()}
        ticks = tuple(ticks_of(said["ticks"])) if "ticks" in said else ()
        return Heard(ticks, Output(0, firm, forming, **tables), whole)


def ticks_of(columns: Columns) -> Iterator[TickBatch]:
    """The newest ticks as batches, one a source; no series is in them twice."""
    for source, rows in _by_source(columns):
        n = len(rows["symbol"])
        number, none = np.arange(n), np.full(n, -1)
        price, size, event, received = (_array(k, rows[k]) for k in ("price", "size", "event_time", "received_at"))
        yield TickBatch(
            source, "live", rows["symbol"], number.astype(np.int32), event, received, price, size, none, none, none
        )


def bars_of(columns: Columns) -> Iterator[BarBatch]:
    """Bars as batches, one a source."""
    for source, rows in _by_source(columns):
        symbols = {symbol: code for code, symbol in enumerate(dict.fromkeys(rows["symbol"]))}
        lengths = {text: interval_us(text) for text in set(rows["interval"])}
        values = {name: _array(name, column) for name, column in rows.items() if name not in ("symbol", "source")}
        values["symbol"] = np.array([symbols[symbol] for symbol in rows["symbol"]], np.int32)
        values["interval"] = np.array([lengths[text] for text in rows["interval"]], np.int64)
        yield BarBatch(source=source, symbols=list(symbols), **values)


def _by_source(columns: Columns) -> Iterator[tuple[str, Columns]]:
    sources = columns["source"]
    for source in dict.fromkeys(sources):
        rows = [row for row, one in enumerate(sources) if one == source]
        yield source, columns if len(rows) == len(sources) else {n: [c[r] for r in rows] for n, c in columns.items()}


def _array(name: str, column: list[Any]) -> Any:
    """A column of numbers, which may be written as text; of states as their numbers."""
    if name in REAL:
        return np.array([float(value) if value != "" else np.nan for value in column], np.float64)
    if name == "state":
        return np.array([STATES.index(value) for value in column], np.uint8)
    if name == "interval":
        return None
    return np.array([int(value) for value in column], np.int32 if name == "version" else np.int64)


def _shown(lot: Lot) -> Iterator[tuple[str, Columns]]:
    """What is only shown: prices, and bars that form; those that closed are said as firm ones."""
    columns = dict(zip(FIELDS[lot.kind], lot.columns, strict=True))
    if lot.kind == "price":
        yield "ticks", columns
        return
    forming = State.FORMING.name.lower()
    rows = [row for row, state in enumerate(columns["state"]) if state == forming]
    if rows:
        yield "forming", {name: [column[row] for row in rows] for name, column in columns.items()}


def _tables(outputs: Sequence[Output], name: str) -> list[pa.Table]:
    found = (getattr(output, name) for output in outputs)
    return [table for table in found if table is not None and table.num_rows]


def _stream(tables: list[pa.Table]) -> bytes:
    whole, sink = pa.concat_tables(tables), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as out:
        out.write_table(whole)
    return bytes(sink.getvalue())
