"""Ids that come twice in a batch. The engine drops them with certainty; here they are only counted, as a sign of trouble."""

from dataclasses import dataclass

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.quality import Verdict
from tickhouse.quality._ids import in_order
from tickhouse.quality._verdicts import remarked

NAME = "duplicates"


def open(min_share: float = 0.0) -> "Duplicates":
    """The check. `min_share` is the share of a batch, 0 to 1, above which repeated ids are worth a remark."""
    return Duplicates(min_share)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Remarks on batches in which ids repeat; rejects nothing."""

    min_share: float = 0.0
    name: str = NAME

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Remarks `repeated`."""
        ids = in_order(batch)
        if ids is None:
            return []
        rows = ids.repeats
        if len(rows) <= self.min_share * len(batch):
            return []
        return remarked(NAME, "repeated", "the id of a tick came before", rows, "info")

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Nothing: a bar may come again."""
        return []
