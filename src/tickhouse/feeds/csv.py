"""Files of ticks or bars as people have them: CSV with any separator, compressed or not, and Parquet.

    layout = sniff("trades.csv.gz", symbol="AAPL", tz="America/New_York")
    for raw, lines in read("trades.csv.gz", layout, "load:trades", now):
        parsed = Csv(layout).parse(raw)

A raw message is one line, as it stands in the file. Header, comment and empty lines are control; a line that cannot be read is
rejected with its reason, and the rest is taken.
"""

from collections.abc import Generator, Mapping
from typing import Any, NoReturn

import numpy as np

from tickhouse.core.batches import NO_ID, BarBatch, Parsed, RawBatch, TickBatch
from tickhouse.core.errors import SettingsError
from tickhouse.core.model import Hole, Ids, Kind, State, Want, interval_us
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.feeds._csv_columns import Columns, compacted, read_columns, sorted_rejects, usable
from tickhouse.feeds._csv_files import first_line, read
from tickhouse.feeds._csv_layout import Layout
from tickhouse.feeds._csv_sniff import sniff

__all__ = ["Csv", "Layout", "first_line", "open", "read", "sniff"]


class Csv:
    """The lines of files of one layout; `source` of every row is the layout's.

    >>> feed = Csv(Layout("ticks", {"time": 0, "price": 1, "size": 2}, 3, symbol="AAPL"))
    >>> parsed = feed.parse(RawBatch.of("csv", "ticks", [b"2026-11-20T14:31:00Z,271.5,100", b"2026-11-20,x,1"], 0))
    >>> parsed.ticks.price.tolist(), parsed.rejects[0].detail
    ([271.5], "price: got 'x', expected a number")
    """

    about = About("Files", "none", "files", "whose the files are")
    channels: Mapping[str, str] = {"ticks": "one line of a file, a tick", "bars": "one line of a file, a bar"}
    ways = Ways()
    channel = ""
    pace = Pace()

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.name = layout.source
        self.ids = Ids.UNIQUE if "id" in layout.columns else Ids.NONE

    def parse(self, raw: RawBatch) -> Parsed:
        """What each line means; times without a zone are of the layout's."""
        columns = read_columns(raw, self.layout)
        if self.layout.kind == "bars":
            rows = np.flatnonzero(columns.kinds == Kind.PARSED)
            return Parsed(columns.kinds, bars=self._bars(raw, columns, rows), rejects=sorted_rejects(columns))
        if self.layout.price != "last":
            usable(columns, self.layout.needed[1:])
        rows = np.flatnonzero(columns.kinds == Kind.PARSED)
        return Parsed(columns.kinds, ticks=self._ticks(raw, columns, rows), rejects=sorted_rejects(columns))

    def _ticks(self, raw: RawBatch, columns: Columns, rows: Any) -> TickBatch:
        n, quote = len(rows), [columns.floats[name][rows] for name in self.layout.needed[1:]]
        symbols, symbol = compacted(columns.words["symbol"], columns.codes["symbol"][rows])
        size = columns.floats["size"][rows] if "size" in columns.floats else np.full(n, np.nan)
        ids = columns.integers["id"][rows] if "id" in columns.integers else np.full(n, NO_ID)
        words, codes = columns.words.get("conditions", [""]), columns.codes.get("conditions")
        return TickBatch(
            source=self.name, lane=raw.lane, symbols=symbols, symbol=symbol, event_time=columns.time[rows],
            received_at=raw.received_at[rows], price=quote[0] if len(quote) == 1 else (quote[0] + quote[1]) / 2, size=size,
            first_id=ids, last_id=ids, raw=rows, conditions=words,
            condition=np.zeros(n, np.int32) if codes is None else codes[rows],
        )  # fmt: skip

    def _bars(self, raw: RawBatch, columns: Columns, rows: Any) -> BarBatch:
        n, length = len(rows), interval_us(self.layout.interval)
        symbols, symbol = compacted(columns.words["symbol"], columns.codes["symbol"][rows])
        values = {name: columns.floats[name][rows] for name in columns.floats}
        trades = columns.integers["trades"][rows] if "trades" in columns.integers else np.zeros(n, np.int64)
        known = raw.received_at[rows]
        return BarBatch(
            source=self.name, symbols=symbols, symbol=symbol, interval=np.full(n, length),
            start=columns.time[rows] - (length if self.layout.stamped == "close" else 0),
            **{name: values[name] for name in ("open", "high", "low", "close")},
            volume=np.nan_to_num(values.get("volume", np.zeros(n)), nan=0.0), vwap=values.get("vwap", np.full(n, np.nan)),
            trades=np.maximum(trades, 0), completeness=np.ones(n), state=np.full(n, State.FINAL, np.uint8),
            version=np.zeros(n, np.int32), first_raw=rows, last_raw=rows, known_at=known,
        )  # fmt: skip

    def subscriptions(self, want: Want) -> list[Subscription]:
        """A file has nothing live."""
        self._refuse()

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """A file has nothing live."""
        self._refuse()

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """A file is loaded whole."""
        self._refuse()

    def cost(self, want: Want) -> Cost:
        """A file is loaded whole."""
        self._refuse()

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """A file has nothing to ask for."""
        self._refuse()

    def classify(self, answer: Answer) -> Exception | None:
        """A file refuses nothing: every line is data."""

    def _refuse(self) -> NoReturn:
        raise SettingsError(
            "csv is a feed of files; take one in with `tickhouse load FILE`, not as a live or history source"
        )


def open(**options: Any) -> Csv:
    """The feed of a layout given as texts, as `Layout.to_detail` writes them; without any the lines are time, symbol, price, size.

    Raises `BadSetting`.

    >>> open(kind="ticks", columns="time,price,size", symbol="AAPL").layout.width
    3
    """
    plain = not {"kind", "columns"} & set(options)
    given = {"kind": "ticks", "columns": "time,symbol,price,size"} if plain else options
    return Csv(Layout.from_detail({name: str(value) for name, value in given.items()}))
