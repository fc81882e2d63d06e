"""Quality as a time series, and the metrics of what runs: a point every few seconds."""

from pathlib import Path
from typing import Any

from tickhouse.core import observe
from tickhouse.core.errors import Temporary
from tickhouse.steps.ledger import ledger
from tickhouse.stores import Warm


class Measure:
    """Keeps the ledger and the lags of a pipeline as points in time. Called from the thread that owns the warm store."""

    def __init__(self, pipeline: Any, warm: Warm | None = None, every: float = 10.0) -> None:
        self.pipeline, self.warm, self.every = pipeline, warm or pipeline.warm, every
        self._last = pipeline.clock.monotonic()

    def step(self) -> None:
        """Write a point when it is time."""
        now = self.pipeline.clock.monotonic()
        if now - self._last < self.every:
            return
        self._last = now
        try:
            totals = ledger(self.pipeline.journal, self.warm)
        except Temporary:
            return  # the journal is away; the next point tells
        values = {(source, name): float(value) for source, row in totals.items() for name, value in row.items()}
        self.warm.measure(self.pipeline.clock.now(), values)
        observe.gauge("journal_bytes", _size(self.pipeline.settings.journal_url))


def _size(url: str) -> int:
    """The bytes of a journal in a file; 0 for one that has none."""
    file = "sqlite:///"
    if not url.startswith(file):
        return 0
    path = url.removeprefix(file)
    return sum(file.stat().st_size for file in (Path(path), Path(f"{path}-wal")) if file.is_file())
