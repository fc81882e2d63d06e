"""A batch in, findings out: the Check contract. A check never changes the batch.

One check, one file, with a function `open(**options) -> Check`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.core.marks import Mark


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of the rows of a batch.

    `rows` are the indexes of the rows it speaks of. With `reject` true these rows cannot be used: they go to quarantine with
    their bytes. Otherwise they stay and the verdict becomes a finding of that `severity`, info or warning. `reason` is a
    short stable word, `detail` one sentence for a person, and `given` says what stands in a row that it refuses.
    """

    check: str
    reason: str
    detail: str
    rows: NDArray[np.int64]
    reject: bool = False
    severity: str = "warning"
    given: Callable[[int], str] | None = None

    def of_row(self, row: int) -> str:
        """The sentence about one row.

        >>> Verdict("ranges", "price", "a price must be above 0", np.array([0]), given=lambda row: "-5").of_row(0)
        'got -5: a price must be above 0'
        """
        return self.detail if self.given is None else f"got {self.given(row)}: {self.detail}"


class Check(Protocol):
    """Looks at batches on their way and says what is wrong with them. It may remember (last prices, last times)."""

    name: str

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """What is wrong with these ticks, before they are journaled; an empty list when nothing is."""

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """What is wrong with these closed bars, before they are stored."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A symbol of which nothing came for too long.

    `since` is when something came last or its line connected, whichever is later (us); `heard` whether anything ever came.
    """

    source: str
    symbol: str
    since: int
    heard: bool = True


@runtime_checkable
class Listens(Protocol):
    """A check that also wants to know what marks say of live lines."""

    def marks(self, source: str, marks: Sequence[Mark]) -> list[Silent]:
        """Take in marks of the live lane; returns the symbols that never said a word since their line connected, each once."""
