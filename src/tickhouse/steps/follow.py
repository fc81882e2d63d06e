"""What changes in a house, row by row, as another process writes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import TICK, Query
from tickhouse.steps.preferred import Preferred, orders
from tickhouse.steps.process import GROUP as PROCESS
from tickhouse.steps.process import switches

if TYPE_CHECKING:
    from tickhouse.pipeline import Pipeline

T = TypeVar("T")

DAY = 86_400 * SECOND
TOPICS = ("bars", "anomalies", "ticks")


class Follow:
    """Follows one topic of a house. `opened` gives the house, and raises once it is closed."""

    def __init__(self, opened: Callable[[], "Pipeline"], topic: str, symbols: tuple[str, ...]) -> None:
        if topic not in TOPICS:
            raise BadSetting("topic", topic, ", ".join(TOPICS[:-1]) + f" or {TOPICS[-1]}")
        self.opened, self.topic, self.symbols = opened, topic, symbols
        self._active: dict[str, str] = {}
        opened()

    async def rows(self, poll: float) -> AsyncIterator[dict[str, Any]]:
        """Every row from now on, looked for every `poll` seconds."""
        found = self._ticks(poll) if self.topic == "ticks" else self._stored(poll)
        async for frame in found:
            for row in frame.iter_rows(named=True):
                yield row

    async def _stored(self, poll: float) -> AsyncIterator[pl.DataFrame]:
        """Rows as the stores get them."""
        seen = await self._ask(_stored_up_to)
        while True:
            position = await self._ask(_stored_up_to)
            if position > seen:
                yield await self._ask(self._between, seen, position)
                seen = position
            await asyncio.sleep(poll)

    def _between(self, house: "Pipeline", seen: int, position: int) -> pl.DataFrame:
        newest = max((row["last_start"] for row in house.warm.symbols()), default=0)
        query = Query(self.symbols, start=newest - DAY, versions=True, since=seen, before=position)
        fetch = house.warm.bars if self.topic == "bars" else house.warm.anomalies
        return pl.DataFrame(_preferred(house).rows(fetch, query)).sort("known_at")

    async def _ticks(self, poll: float) -> AsyncIterator[pl.DataFrame]:
        """Ticks as they are journaled: each as it came, repeated and late ones too."""
        at = await self._ask(self._begin)
        while True:
            batches, at = await self._ask(self._journaled, at, poll)
            for batch in batches:
                yield pl.DataFrame(batch.to_arrow().cast(TICK))

    def _begin(self, house: "Pipeline") -> int:
        """The end of the journal, with the feeds in use there: those that are stored, and the switches since."""
        position, end = _stored_up_to(house), int(house.journal.end())
        self._active = _preferred(house).active(tuple(orders(house.settings)))
        while self._active and position < end and (records := house.journal.read("ticks", position)):
            for record in records:
                self._learn(record)
            position = records[-1].end
        return end

    def _learn(self, record: Record) -> None:
        """Take in which feeds are in use from a record on."""
        self._active |= {row["symbol"]: row["to_source"] for row in switches(record) if row["symbol"] in self._active}

    def _journaled(self, house: "Pipeline", position: int, poll: float) -> tuple[list[TickBatch], int]:
        """The next ticks, waited for up to `poll` seconds, and the position after them."""
        if not house.journal.wait(position, poll):
            return [], position
        records, batches = house.journal.read("ticks", position), list[TickBatch]()
        for record in records:
            self._learn(record)
            batches += [self._mine(record.ticks)] if record.ticks is not None else []
        return [batch for batch in batches if len(batch)], records[-1].end if records else position

    def _mine(self, batch: TickBatch) -> TickBatch:
        """The ticks that were asked for; of a symbol of a group those of the feed in use."""
        active = self._active
        if not self.symbols and not active:
            return batch
        wanted = self.symbols or batch.symbols
        used = [active.get(symbol, batch.source) == batch.source and symbol in wanted for symbol in batch.symbols]
        codes = np.flatnonzero(used)
        return batch.take(np.isin(batch.symbol, codes))

    async def _ask(self, question: Callable[..., T], *given: Any) -> T:
        """Ask the house in a thread. Raises `SettingsError` when it was closed meanwhile."""
        house = self.opened()
        try:
            return await asyncio.to_thread(question, house, *given)
        except Exception:
            self.opened()
            raise


def _preferred(house: "Pipeline") -> Preferred:
    return Preferred(orders(house.settings), house.warm)


def _stored_up_to(house: "Pipeline") -> int:
    return house.warm.position(PROCESS) or 0
