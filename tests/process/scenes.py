"""Random days of a source: live ticks in disorder, repeats, losses that are refilled, loads, marks of lines."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from tests.process.house import Feeder, Row, given, tick
from tickhouse.core.batches import LIVE, REFILL, Record, TickBatch
from tickhouse.core.marks import Event

END = 4000.0
"""Seconds after T0 by which every scene has closed its windows."""


@dataclass
class Scene:
    """What may go wrong in a scene, and the records that come of it."""

    random: Random
    ids: bool = True
    aggregates: bool = True
    marks: bool = True
    loads: int = 1
    slow: bool = False
    """Whether loads come piece by piece, between what is live."""
    bars: int = 0
    """So many times bars come ready made, in a load or live, in any order."""
    ticks: int = 120
    refused: float = 0.0
    """The share of the ticks that quality does not take."""
    feeder: Feeder = field(default_factory=Feeder)

    def records(self) -> list[Record]:
        """The records of a scene, in journal order."""
        rows = self._traded()
        lost = [row for row in rows if self.random.random() < 0.06] if self.ids else []
        arrivals = self._arrivals([row for row in rows if not any(row is other for other in lost)])
        events: list[tuple[float, Any]] = [(at, ("tick", row)) for at, row in arrivals]
        if self.marks:
            events += self._marks()
        for number in range(self.loads):
            events += self._load(f"load:{number}", rows, self.random.uniform(0, 900))
        for number in range(self.bars):
            events.append((self.random.uniform(0, 900), ("bars", number)))
        refilled = [row for row in lost if self.random.random() < 0.7]
        if refilled:
            events.append((self.random.uniform(500, 1500), ("refill", refilled)))
        return self._written(sorted(events, key=lambda event: event[0]))

    def _traded(self) -> list[Row]:
        random, time, rows = self.random, 0.0, []
        ids = {"A": 100, "B": 7000}
        for _ in range(self.ticks):
            time += random.expovariate(1 / 4)
            symbol, width = random.choice("AAB"), random.choice([1, 1, 3]) if self.aggregates else 1
            row = tick(round(time, 3), round(random.uniform(1, 99), 2), round(random.uniform(0, 9), 3), symbol)
            if self.ids:
                row |= {"first_id": ids[symbol], "last_id": ids[symbol] + width - 1}
                ids[symbol] += width
            row["refused"] = random.random() < self.refused
            rows.append(row)
        return rows

    def _arrivals(self, rows: list[Row]) -> list[tuple[float, Row]]:
        random, arrivals = self.random, []
        for row in rows:
            at = (row["event_time"] - rows[0]["event_time"]) / 1e6
            late = random.choice([0, 0, 0, random.uniform(0, 4), random.uniform(0, 4), random.choice([20, 90, 600])])
            if random.random() < 0.02:
                late = -200
                row["received_at"] = row["event_time"] - 200_000_000
            arrivals.append((at + late, row))
            if self.ids and random.random() < 0.1:
                arrivals.append((at + late + random.choice([0, 1, 100, 700]), row))
        return arrivals

    def _marks(self) -> list[tuple[float, Any]]:
        """A line that is connected, and now and then is not."""
        random, at, events = self.random, -30.0, []
        events.append((at, ("mark", Event.CONNECTED, at)))
        while at < 900:
            at += random.uniform(1, 60)
            if random.random() < 0.2:
                heard, at = at - random.uniform(0, 10), at + random.uniform(5, 90)
                events += [(at - 1, ("mark", Event.DISCONNECTED, heard)), (at, ("mark", Event.CONNECTED, at))]
            else:
                events.append((at, ("mark", Event.ALIVE, at)))
        return events

    def _written(self, events: list[tuple[float, Any]]) -> list[Record]:
        records: list[Record] = []
        waiting: list[Row] = []

        def flush() -> None:
            if waiting:
                records.append(self.feeder.ticks(list(waiting)))
                waiting.clear()

        for at, (kind, *what) in events:
            if kind == "tick":
                waiting.append(what[0])
                continue
            flush()
            if kind == "mark":
                records.append(self.feeder.mark(what[0], what[1], symbols=("A", "B"), received=at))
            elif kind == "load":
                records.append(self._loaded(at, *what))
            elif kind == "bars":
                records += self._bars(f"load:bars:{what[0]}", at)
            elif kind == "refill":
                records += [self.feeder.mark(Event.BEGIN, at, REFILL), self.feeder.ticks(what[0], REFILL, "history", 5)]
                records.append(self.feeder.mark(Event.END, at, REFILL))
        flush()
        records.append(self.feeder.mark(Event.ALIVE, END, symbols=("A", "B")))
        return records

    def _bars(self, lane: str, at: float) -> list[Record]:
        """Minutes of a file, rising, falling or mixed, some twice; or of a live line, with ticks in the same record."""
        random = self.random
        rows = [
            (random.choice("ABC"), 60.0 * minute, random.choice([5.0, 6.0])) for minute in range(random.randint(1, 20))
        ]
        rows = random.choice([rows, rows[::-1], random.sample(rows, len(rows)), rows + rows[:3]])
        if random.random() < 0.4:
            live = self.feeder.bars(given(rows, at), LIVE, "both", page=2)
            late = [tick(60.0 * n + 7, 50.0 + n, symbol="D", received=at) for n in range(live.count)]
            ticks = TickBatch.of("s", late)
            return [replace(live, ticks=replace(ticks, raw=live.first + np.arange(len(ticks))))]
        middle = random.randint(0, len(rows))
        parts = [self.feeder.mark(Event.BEGIN, at, lane)]
        parts += [self.feeder.bars(given(part, at), lane, page=3) for part in (rows[:middle], rows[middle:]) if part]
        return [*parts, self.feeder.mark(Event.END, at, lane)]

    def _load(self, lane: str, rows: list[Row], at: float) -> list[tuple[float, Any]]:
        """A part of what was traded, from a file; without ids these are other trades."""
        random = self.random
        first = random.randrange(len(rows))
        chosen = [row for row in rows[first : first + random.randint(1, len(rows))] if random.random() < 0.9]
        events: list[tuple[float, Any]] = [(at, ("load", lane, Event.BEGIN))]
        while chosen:
            n = random.randint(1, 30 if self.slow else len(chosen))
            events.append((at, ("load", lane, chosen[:n])))
            chosen = chosen[n:]
            at += random.uniform(0, 80) if self.slow else 0
        return [*events, (at, ("load", lane, Event.END))]

    def _loaded(self, at: float, lane: str, what: Event | list[Row]) -> Record:
        return self.feeder.mark(what, at, lane) if isinstance(what, Event) else self.feeder.ticks(what, lane, page=7)
