"""What symbols and intervals a house has, so that an empty answer can say why it is empty."""

from typing import Any

from tickhouse.core.asking import explain
from tickhouse.core.clock import Clock
from tickhouse.surfaces import House

KEEP_SECONDS = 1.0


class Catalog:
    """The symbols of a house, read at most once a second. Used from worker threads."""

    def __init__(self, house: House, clock: Clock) -> None:
        self._house, self._clock = house, clock
        self._read_at = float("-inf")
        self._rows: list[dict[str, Any]] = []

    def rows(self) -> list[dict[str, Any]]:
        """Every (symbol, source) with its intervals, `first` and `last` bar start, and the source `in_use` where a group chooses;
        those with prices but no bar yet too."""
        now = self._clock.monotonic()
        if now - self._read_at >= KEEP_SECONDS:
            found = {(row["symbol"], row["source"]): _spelled(row) for row in self._house.symbols()}
            for row in self._house.latest():
                key = (row["symbol"], row["source"])
                new = {"symbol": key[0], "source": key[1], "intervals": [], "first": None, "last": None}
                found.setdefault(key, new)
            used = self._house.in_use(list({symbol for symbol, _ in found}))
            self._rows = [{**found[key], "in_use": used.get(key[0])} for key in sorted(found)]
            self._read_at = now
        return self._rows

    def explain(self, symbol: str, interval: str | None = None) -> None:
        """Raise why there is nothing: `UnknownSymbol`, or `NoData` for an interval that is not kept; else return."""
        explain(self.rows(), symbol, interval)


def _spelled(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the names of the API, whatever the store calls the first and the last start."""
    first, last = row.get("first_start", row.get("first")), row.get("last_start", row.get("last"))
    return {
        "symbol": row["symbol"],
        "source": row["source"],
        "intervals": list(row["intervals"]),
        "first": first,
        "last": last,
    }
