"""What really went out in whole answers, a plain row for each thing said: the truth about all that is asked for."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from tickhouse.exchange import Row

KEEP = 200_000


class Sent:
    """The newest rows of every dialect, in order. `forgotten` counts those that are no longer kept."""

    def __init__(self, keep: int = KEEP) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=keep)
        self.forgotten = 0

    def add(self, dialect: str, rows: Iterable[Row]) -> None:
        """What one answer said."""
        for row in rows:
            self.forgotten += len(self._rows) == self._rows.maxlen
            self._rows.append({"dialect": dialect, **row})

    def of(self, dialect: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """What was said by one dialect, of one kind."""
        return [row for row in self._rows if dialect in (None, row["dialect"]) and kind in (None, row["kind"])]

    def clear(self) -> None:
        """Forget all of it."""
        self._rows.clear()
