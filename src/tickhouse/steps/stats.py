"""What a running pipeline did so far: counts, rates and lags, for the status line and the summary."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tickhouse.core.batches import Output, Record
from tickhouse.core.clock import SECOND, Clock
from tickhouse.core.model import State

KEPT_LAGS = 20_000


@dataclass(slots=True)
class Stats:
    """Fed by the process step with what it published; read from any thread.

    `bars` counts those whose window ended since the start, `history` those that are older, `corrected` the corrections of both.
    """

    clock: Clock
    began: float = 0.0
    ticks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LAGS))
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=200))

    began_at: int = 0

    def __post_init__(self) -> None:
        self.began, self.began_at = self.clock.monotonic(), self.clock.now()

    def published(self, records: Sequence[Record], output: Output) -> None:
        """Count what one step did."""
        now = self.clock.now()
        for record in records:
            if record.ticks is not None and len(record.ticks):
                self.ticks += len(record.ticks)
                self.lags.extend(((now - record.ticks.received_at[-50:]) / 1000.0).tolist())
        for bars in output.bars:
            past = int(np.count_nonzero(bars.start + bars.interval <= self.began_at))
            self.counts["history"] += past
            self.counts["bars"] += len(bars) - past
            self.counts["corrected"] += int(np.count_nonzero(bars.state == State.CORRECTED))
        if output.anomalies is not None:
            self.counts["anomalies"] += output.anomalies.num_rows
        self.counts["holes"] += len(output.holes)
        self.recent.append((self.clock.monotonic(), self.ticks))

    def rate(self) -> float:
        """Ticks a second over the last few seconds."""
        points = [p for p in list(self.recent) if p[0] > self.clock.monotonic() - 5]
        if len(points) < 2 or points[-1][0] == points[0][0]:
            return 0.0
        return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])

    def lag_ms(self) -> dict[str, float | None]:
        """Received to published, in milliseconds."""
        lags = np.fromiter(list(self.lags), np.float64)
        if not lags.size:
            return {"p50": None, "p99": None}
        return {"p50": round(float(np.percentile(lags, 50)), 2), "p99": round(float(np.percentile(lags, 99)), 2)}

    def summary(self) -> dict[str, Any]:
        """Everything counted, as plain values."""
        seconds = max(self.clock.monotonic() - self.began, 1 / SECOND)
        return {
            "seconds": round(seconds, 2), "ticks": self.ticks, "ticks_per_second": round(self.ticks / seconds, 1),
            **{name: self.counts[name] for name in ("bars", "history", "corrected", "anomalies", "holes")},
            "lag_ms": self.lag_ms(),
        }  # fmt: skip
