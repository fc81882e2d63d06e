"""From arrays of outputs to rows of the schemas `model.INDICATOR` and `model.ANOMALY`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64, I32, I64, BarBatch
from tickhouse.core.kernels.objects import objects
from tickhouse.core.model import ANOMALY, INDICATOR, TIME, interval_text


@dataclass(frozen=True, slots=True)
class Keys:
    """Which bars n rows speak of, and when each became known; as in `BarBatch`."""

    source: str
    symbols: Sequence[str]
    symbol: I32
    interval: I64
    start: I64
    known_at: I64

    @classmethod
    def of(cls, bars: BarBatch) -> "Keys":
        """The keys of a batch's bars."""
        return cls(bars.source, bars.symbols, bars.symbol, bars.interval, bars.start, bars.known_at)

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, rows: Any) -> "Keys":
        """The keys of a slice, mask or index array."""
        return replace(
            self, **{name: getattr(self, name)[rows] for name in ("symbol", "interval", "start", "known_at")}
        )

    def columns(self) -> list[pa.Array]:
        """The columns symbol, source, interval and start."""
        lengths, codes = np.unique(self.interval, return_inverse=True)
        intervals = pa.array([interval_text(us) for us in lengths.tolist()], pa.string())
        used, symbol = np.unique(self.symbol, return_inverse=True)
        symbols = pa.array([self.symbols[code] for code in used.tolist()], pa.string())
        source = pa.repeat(pa.scalar(self.source), len(self))
        return [
            symbols.take(pa.array(symbol)),
            source,
            intervals.take(pa.array(codes)),
            pa.array(self.start).cast(TIME),
        ]


def indicator_rows(keys: Keys, names: Sequence[str], values: F64, version: I32) -> pa.Table:
    """One row for each of n bars; `values` has shape (n, names)."""
    columns = [*keys.columns(), pa.array(version), pa.array(keys.known_at).cast(TIME), objects(names, values)]
    return pa.table(columns, schema=INDICATOR)


def anomaly_rows(
    keys: Keys, detector: Sequence[str], verdict: F64, version: I32, retracted: Sequence[bool]
) -> pa.Table:
    """One row for each of n verdicts: bar i and detector i; `verdict` has shape (n, 2), value and threshold."""
    value, threshold = (pa.array(np.ascontiguousarray(verdict[:, i]), from_pandas=True) for i in (0, 1))
    columns = [*keys.columns(), pa.array(detector, pa.string()), pa.array(version), value, threshold]
    return pa.table([*columns, pa.array(retracted, pa.bool_()), pa.array(keys.known_at).cast(TIME)], schema=ANOMALY)


def anomalous(verdicts: F64) -> tuple[I64, I64]:
    """Which (bar, detector) of verdicts (n, detectors, 2) are anomalies, ordered by bar."""
    bar, detector = np.nonzero(np.abs(verdicts[:, :, 0]) > verdicts[:, :, 1])
    return bar.astype(np.int64), detector.astype(np.int64)
