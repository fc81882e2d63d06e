"""What a correction changes: new values compared with what was said before, and the rows that say the difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64, I64, BarBatch
from tickhouse.core.kernels.objects import objects
from tickhouse.process.rows import Keys, anomalous, anomaly_rows, indicator_rows
from tickhouse.process.said import Judged, Old


@dataclass(frozen=True, slots=True)
class Again:
    """Values (n, outputs) and verdicts (n, detectors, 2) of bars computed once more."""

    keys: Keys
    values: F64
    verdicts: F64

    def indicators(self, names: Sequence[str], old: Old) -> pa.Table | None:
        """The rows whose text is not what was said, with the next version."""
        texts = objects(names, self.values).to_pylist()
        chosen, versions = [], []
        for i, (name, text) in enumerate(zip(self._names(), texts, strict=True)):
            version, said = old.get(name, (-1, ""))
            if text != said:
                chosen.append(i)
                versions.append(version + 1)
        if not chosen:
            return None
        return indicator_rows(self.keys.take(chosen), names, self.values[chosen], np.array(versions, np.int32))

    def anomalies(self, detectors: Sequence[str], old: Judged) -> pa.Table | None:
        """The anomalies that are new, different or gone, with the next version."""
        places = {name: i for i, name in enumerate(self._names())}
        now = {(i, j) for i, j in zip(*(found.tolist() for found in anomalous(self.verdicts)), strict=True)}
        before = {(places[s, t], detectors.index(d)) for s, t, d in old if d in detectors and (s, t) in places}
        bars, judges, versions, gone = [], [], [], []
        for bar, judge in sorted(now | before):
            symbol, start = self.keys.symbols[self.keys.symbol[bar]], int(self.keys.start[bar])
            version, retracted, *verdict = old.get((symbol, start, detectors[judge]), (-1, True, np.nan, np.nan))
            vanished = (bar, judge) not in now
            if vanished if retracted else not vanished and _same(verdict, self.verdicts[bar, judge].tolist()):
                continue
            bars.append(bar)
            judges.append(judge)
            versions.append(version + 1)
            gone.append(vanished)
        if not bars:
            return None
        names, verdicts = [detectors[j] for j in judges], self.verdicts[bars, judges]
        return anomaly_rows(self.keys.take(bars), names, verdicts, np.array(versions, np.int32), gone)

    def _names(self) -> list[tuple[str, int]]:
        symbols = [self.keys.symbols[code] for code in self.keys.symbol.tolist()]
        return list(zip(symbols, self.keys.start.tolist(), strict=True))


def known_since(late: BarBatch, symbol: str, starts: I64) -> I64:
    """When the newest values of a series' bars became known: with the last bar of `late` at or before each.

    A bar before the first of them gets -1: nothing of it changed.
    """
    here = np.flatnonzero(late.symbol == list(late.symbols).index(symbol))
    here = here[np.argsort(late.start[here], kind="stable")]
    newest = np.concatenate(([-1], np.maximum.accumulate(late.known_at[here])))
    return newest[np.searchsorted(late.start[here], starts, side="right")]


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Bit for bit."""
    return pack("2d", *one) == pack("2d", *other)
