"""Ids that are missing inside a batch, where a source's ids rise by one."""

from collections.abc import Collection
from dataclasses import dataclass

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.quality import Verdict
from tickhouse.quality._ids import in_order
from tickhouse.quality._verdicts import remarked

NAME = "gaps"


def open(sources: Collection[str] | None = None) -> "Gaps":
    """The check. `sources` are those whose ids rise by exactly one per symbol; None stands for all."""
    return Gaps(None if sources is None else frozenset(sources))


@dataclass(frozen=True, slots=True)
class Gaps:
    """Remarks on missing ids; coverage and the refill of holes are the engine's."""

    sources: frozenset[str] | None = None
    name: str = NAME

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Remarks `missing`, at the ticks that come after a gap."""
        if self.sources is not None and batch.source not in self.sources:
            return []
        ids = in_order(batch)
        return [] if ids is None else remarked(NAME, "missing", "ids are missing before a tick", ids.jumps, "info")

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Nothing: holes between bars are the engine's coverage."""
        return []
