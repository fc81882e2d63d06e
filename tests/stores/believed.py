"""The obvious slow answer to a `Query`, over every row that was ever written."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from tickhouse.core.model import Query

Row = Mapping[str, Any]
KEY = ("symbol", "interval", "start", "source", "version")


class Believed:
    """Rows by key, each with the first position that said it as it is."""

    def __init__(self, extra: str | None = None) -> None:
        self.names = (*KEY, extra) if extra else KEY
        self.rows: dict[tuple[Any, ...], tuple[Row, int]] = {}

    def key(self, row: Row) -> tuple[Any, ...]:
        """The key of a row, in the order in which rows come."""
        return tuple(row[name] for name in self.names)

    def write(self, position: int, rows: Iterable[Row]) -> None:
        """Take rows in."""
        for row in rows:
            held, known = self.rows.get(self.key(row), (None, position))
            same = repr(held) == repr(row)  # NaN is NaN
            self.rows[self.key(row)] = row, min(position, known) if same else position

    def answer(self, query: Query) -> list[Row]:
        """The rows a store must answer with."""
        found = [row for row, position in self.rows.values() if _known(row, position, query)]
        if not query.versions:
            found = [row for row in found if not any(self._later(other, row) for other in found)]
            found = [row for row in found if not row.get("retracted")]
        found = sorted((row for row in found if _asked(row, query)), key=self.key)
        if query.after is not None:
            found = [row for row in found if self.key(row) > query.after]
        if query.last is not None:
            found = sorted((row for group in _series(found) for row in self._newest(group, query.last)), key=self.key)
        return found if query.limit is None else found[: query.limit]

    def _later(self, other: Row, row: Row) -> bool:
        same = all(other[name] == row[name] for name in self.names if name != "version")
        return same and other["version"] > row["version"]

    def _newest(self, rows: list[Row], last: int) -> list[Row]:
        return sorted(rows, key=self.key)[max(0, len(rows) - last) :]


def _known(row: Row, position: int, query: Query) -> bool:
    return (query.as_of is None or row["known_at"] <= query.as_of) and (
        query.before is None or position <= query.before
    )


def _asked(row: Row, query: Query) -> bool:
    return (
        (not query.symbols or row["symbol"] in query.symbols)
        and query.interval in (None, row["interval"])
        and query.source in (None, row["source"])
        and (query.start is None or row["start"] >= query.start)
        and (query.end is None or row["start"] < query.end)
    )


def _series(rows: list[Row]) -> list[list[Row]]:
    def name(row: Row) -> tuple[str, str, str]:
        return row["symbol"], row["interval"], row["source"]

    return [list(group) for _, group in groupby(sorted(rows, key=name), name)]
