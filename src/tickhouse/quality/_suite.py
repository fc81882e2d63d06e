"""All checks of a house, run on each batch one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.core.marks import Mark
from tickhouse.core.model import FINDING, Reject
from tickhouse.core.plugins import load
from tickhouse.quality import Check, Listens, Silent, Verdict

Batch = TickBatch | BarBatch
B = TypeVar("B", TickBatch, BarBatch)


class Suite:
    """Checks in the order in which they are asked. A row that several refuse is refused once, by the first."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)

    @classmethod
    def from_names(cls, names: Iterable[str], options: Mapping[str, Any] | None = None) -> "Suite":
        """The checks of those names, each opened with those of the options that it knows.

        Raises `UnknownName`, `BadSetting`.

        >>> [check.name for check in Suite.from_names(["schema", "ranges"], {"max_price": 1e9}).checks]
        ['schema', 'ranges']
        """
        return cls([_opened(name, options or {}) for name in names])

    def ticks(self, batch: TickBatch) -> tuple[TickBatch, list[Verdict]]:
        """The ticks that nobody refuses, and everything that was said."""
        return _good(batch, [verdict for check in self.checks for verdict in check.ticks(batch)])

    def bars(self, batch: BarBatch) -> tuple[BarBatch, list[Verdict]]:
        """The bars that nobody refuses, and everything that was said."""
        return _good(batch, [verdict for check in self.checks for verdict in check.bars(batch)])

    def marks(self, source: str, marks: Sequence[Mark]) -> list[Silent]:
        """What the checks that listen to marks of the live lane say of symbols that never said a word."""
        return [one for check in self.checks if isinstance(check, Listens) for one in check.marks(source, marks)]

    def findings(self, verdicts: Sequence[Verdict], batch: Batch, at: int) -> pa.Table | None:
        """What was said as a table of schema `model.FINDING`: one row a check, reason and symbol; None when there is none.

        `batch` is the one that was checked, `at` the moment of the finding (us).
        """
        raw = messages(batch)
        rows = [row for verdict in verdicts for row in _conflated(verdict, batch, raw, at)]
        return pa.Table.from_pylist(rows, schema=FINDING) if rows else None

    def rejects(self, verdicts: Sequence[Verdict], batch: Batch | NDArray[np.int64]) -> tuple[Reject, ...]:
        """One for each refused row of the batch that was checked (or of its `raw` column), in order of the rows."""
        raw = messages(batch) if isinstance(batch, TickBatch | BarBatch) else batch
        refused: dict[int, Reject] = {}
        for verdict in verdicts:
            if verdict.reject:
                for row in verdict.rows.tolist():
                    refused.setdefault(row, Reject(int(raw[row]), verdict.reason, verdict.of_row(row)))
        return tuple(refused[row] for row in sorted(refused))


def _opened(name: str, options: Mapping[str, Any]) -> Check:
    opener = load("quality", name).open
    known = signature(opener).parameters
    check: Check = opener(**{option: value for option, value in options.items() if option in known})
    return check


def mute(silent: Sequence[Silent], at: int, raw: int) -> pa.Table | None:
    """Symbols that never said a word as a table of schema `model.FINDING`; None when there are none.

    `at` is the moment of the finding (us), `raw` the position of the mark that tells.
    """
    rows = [
        {"source": one.source, "symbol": one.symbol, "check": "staleness", "severity": "warning", "at": at, "count": 1,
         "message": "mute: nothing ever came since its line connected", "raw": raw}
        for one in silent
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=FINDING) if rows else None


def messages(batch: Batch) -> NDArray[np.int64]:
    """The message that each row came from."""
    return batch.raw if isinstance(batch, TickBatch) else batch.first_raw


def _good(batch: B, verdicts: list[Verdict]) -> tuple[B, list[Verdict]]:
    refused = [verdict.rows for verdict in verdicts if verdict.reject]
    if not refused:
        return batch, verdicts
    good = np.ones(len(batch), np.bool_)
    good[np.concatenate(refused)] = False
    return batch.take(good), verdicts


def _conflated(verdict: Verdict, batch: Batch, raw: NDArray[np.int64], at: int) -> Iterable[dict[str, Any]]:
    """One row a symbol."""
    symbols, where = np.unique(batch.symbol[verdict.rows], return_inverse=True)
    counts = np.bincount(where)
    first = np.full(len(symbols), np.iinfo(np.int64).max)
    np.minimum.at(first, where, raw[verdict.rows])
    severity = "reject" if verdict.reject else verdict.severity
    for symbol, count, message in zip(symbols.tolist(), counts.tolist(), first.tolist(), strict=True):
        yield {
            "source": batch.source, "symbol": batch.symbols[symbol] if symbol >= 0 else "", "check": verdict.check,
            "severity": severity, "at": at, "count": count, "message": f"{verdict.reason}: {verdict.detail}",
            "raw": message,
        }  # fmt: skip
