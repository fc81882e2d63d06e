"""What the process step did, as metrics: counted once a step, never once a tick."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.clock import SECOND
from tickhouse.core.model import State, interval_text

TOTALS = {"duplicate": "duplicates", "late": "late"}
"""The metric that each of these totals of the ledger is."""


class Counted:
    """Counts outputs. It begins with the totals of the ledger as stored: what was counted before a restart is not counted again."""

    def __init__(self, ledger: Mapping[tuple[str, str], int]) -> None:
        self._totals = dict(ledger)

    def output(self, output: Output) -> None:
        """Count what came out of one step."""
        for (source, name), total in output.ledger.items():
            new = total - self._totals.get((source, name), 0)
            if new > 0 and name in TOTALS:
                observe.count(TOTALS[name], new, source=source)
            self._totals[source, name] = max(total, self._totals.get((source, name), 0))
        for batch in output.bars:
            _bars(batch)
        for hole in output.holes:
            observe.count("holes", source=hole.source, state="found")
        _rows("anomalies", output.anomalies, "detector")
        _rows("findings", output.findings, "check")

    def watermarks(self, watermarks: Mapping[str, int]) -> None:
        """Say how far each source is."""
        for source, us in watermarks.items():
            observe.gauge("watermark", us / SECOND, source=source)


def _bars(batch: BarBatch) -> None:
    for interval in np.unique(batch.interval).tolist():
        labels = {"source": batch.source, "interval": interval_text(interval)}
        mine = batch.interval == interval
        corrected = int(np.count_nonzero(mine & (batch.state == State.CORRECTED)))
        if closed := int(np.count_nonzero(mine)) - corrected:
            observe.count("bars", closed, **labels)
        if corrected:
            observe.count("corrections", corrected, **labels)


def _rows(metric: str, table: pa.Table | None, by: str) -> None:
    if table is None or not table.num_rows:
        return
    for group in table.group_by(["source", by]).aggregate([([], "count_all")]).to_pylist():
        observe.count(metric, group["count_all"], source=group["source"], **{by: group[by]})
