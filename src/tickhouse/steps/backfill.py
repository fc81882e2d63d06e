"""The past from a provider's history, as far as the house lacks it: planned, inside the quota, gone on with after a kill.

What was asked is noted in the journal with what came of it, so that nothing is asked twice: not the minutes in which a share
was not traded, and not what a provider never had. Economic series are revised, so they are asked again on another day.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from typing import Any

import msgspec
import numpy as np

from tickhouse.core.batches import I64, RawBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, NoData, Temporary, UnknownSymbol
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Ids, Query, Want, interval_us
from tickhouse.core.requests import Cost, Pace
from tickhouse.feeds import Feed
from tickhouse.steps.lacking import Range, lacking, split, united, without
from tickhouse.steps.opening import market_of

DAY = 86_400 * SECOND
NEAR = 100
"""Ranges with so many bars or fewer between them are asked for as one: a call costs the same, whatever it brings."""
BARS_AT_ONCE = 50_000
FOREVER = (0, 1 << 62)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be fetched: symbols of a channel of history, of a range (us); `interval` is empty where there are no bars.

    `again` asks for all of it, whatever there is.
    """

    symbols: tuple[str, ...]
    channel: str
    interval: str
    span: Range
    again: bool = False

    @classmethod
    def of(cls, feed: Feed, symbols: Sequence[str], channel: str | None, interval: str, span: Range) -> "Task":
        """The task of what a person asked for. Raises `BadSetting` for what the provider has not."""
        ways = feed.ways
        if not ways.history:
            raise BadSetting("SOURCE", feed.name, "a feed with a history; `tickhouse feeds` lists them")
        name, _, named = (channel or ways.bars.get(interval) or ways.history[0]).partition(":")
        if name not in ways.history:
            raise BadSetting("--channel", channel, f"one of {', '.join(ways.history)}")
        interval = named or interval
        if (channel is None and ways.bars) or name in ways.bars.values():
            lengths = [length for length, bars in ways.bars.items() if channel is None or bars == name]
            if interval not in lengths:
                raise BadSetting("--interval", interval, f"one of {', '.join(lengths)}, which {feed.name} has")
        return cls(tuple(dict.fromkeys(symbols)), name, interval if name in ways.bars.values() else "", span)


@dataclass(frozen=True, slots=True)
class Piece:
    """One range of one symbol that is to be asked for."""

    symbol: str
    span: Range
    cost: Cost


@dataclass(slots=True)
class Done:
    """What was done so far: calls, and by symbol how many answers came and what was wrong."""

    calls: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Backfill:
    """Fetches what a task wants from one feed. Belongs to one event loop, but for `plan`, which reads the stores."""

    def __init__(self, feed: tuple[Feed, Pace], task: Task, pipeline: Any) -> None:
        (self.feed, self.pace), self.task, self.pipeline = feed, task, pipeline
        self.ingest = pipeline.ingest({self.feed.name: self.feed})
        self.done = Done()
        self._revised = self.feed.about.market == "economic" or task.channel == "economic"
        self._note: tuple[str, str] | None = None

    def plan(self) -> list[Piece]:
        """What is lacking, symbol by symbol, oldest first, with what it costs at least. Raises `SettingsError`."""
        pieces = []
        for symbol in self.task.symbols:
            for span in self._lacking(symbol):
                pieces.append(Piece(symbol, span, self.feed.cost(self._want(symbol, span))))
        if pieces:
            self.feed.history(self._want(pieces[0].symbol, pieces[0].span)).close()
        return pieces

    def _lacking(self, symbol: str) -> list[Range]:
        task, asked = self.task, [] if self.task.again else self._asked(symbol)
        if self._revised:
            today = self.pipeline.clock.now() // DAY
            return [] if any((a, b) == task.span and at // DAY == today for a, b, at in asked) else [task.span]
        before = [(a, b) for a, b, _ in asked]
        if not task.interval:
            rest = without([task.span], before)
            return split(rest, DAY) if self.feed.ids is Ids.DENSE else rest
        length = interval_us(task.interval)
        starts = np.zeros(0, np.int64) if task.again else self._starts(symbol, length)
        market = market_of(symbol, self._market())
        return united(without(lacking(task.span, starts, length, market), before), NEAR * length)

    def _market(self) -> str:
        section = self.pipeline.settings.feeds.get(self.feed.name)
        return (section.market if section else None) or self.feed.about.market

    def _starts(self, symbol: str, length: int) -> I64:
        """When the whole bars of the range begin that the house has."""
        start, end = self.task.span
        found = [np.zeros(0, np.int64)]
        for first in range(start, end, BARS_AT_ONCE * length):
            last = min(end, first + BARS_AT_ONCE * length)
            bars = self.pipeline.warm.bars(Query((symbol,), self.task.interval, self.feed.name, first, last))
            whole = bars["completeness"].fill_null(0.0).to_numpy() >= 1.0
            found.append(bars["start"].cast("int64").to_numpy()[whole])
        return np.concatenate(found)

    async def run(self, pieces: Sequence[Piece], progress: Callable[[Done], None] = lambda done: None) -> None:
        """Ask for the pieces and take in what comes. What is wrong with one symbol is noted, and the others are asked.

        Raises a `Temporary` when the provider cannot be asked now or its quota is spent, and a `Final` when it refuses: call it
        again then with a new plan.
        """
        for lane, some in groupby(pieces, self._lane):
            begun = False
            try:
                for piece in some:
                    await self._take(self._mark(Event.BEGIN, lane))
                    begun = True
                    await self._ask(piece, lane, progress)
            finally:
                if begun:
                    await self._take(self._mark(Event.END, lane))

    async def _ask(self, piece: Piece, lane: str, progress: Callable[[Done], None]) -> None:
        name, done = self.feed.name, self.done
        conversation = self.feed.history(self._want(piece.symbol, piece.span))
        try:
            async for request, answer in self.pipeline.transport.ask(name, self.pace, self.feed.classify, conversation):
                await self._take(RawBatch.of(name, request.channel, [answer.body], answer.received_at, lane))
                done.calls += 1
                done.answers[piece.symbol] = done.answers.get(piece.symbol, 0) + 1
                progress(done)
        except (UnknownSymbol, NoData) as problem:
            done.problems[piece.symbol] = str(problem)
            if isinstance(problem, UnknownSymbol):
                return
        self._note = await asyncio.to_thread(self._noted, piece)

    def _noted(self, piece: Piece) -> tuple[str, str]:
        """What is known to be asked with a piece that is done; the journal gets it with the next mark."""
        asked, now = self._asked(piece.symbol), self.pipeline.clock.now()
        if self._revised:
            kept = [(a, b, at) for a, b, at in asked if at // DAY == now // DAY]
            return self._key(piece.symbol), _text([*kept, (*piece.span, now)])
        ranges = united([*((a, b) for a, b, _ in asked), piece.span])
        return self._key(piece.symbol), _text([(a, b, now) for a, b in ranges])

    def _asked(self, symbol: str) -> list[tuple[int, int, int]]:
        """The ranges that were asked for, and when."""
        key = self._key(symbol)
        said = self._note[1] if self._note and self._note[0] == key else self.pipeline.journal.resume(key)
        return msgspec.json.decode(said, type=list[tuple[int, int, int]]) if said else []

    async def _take(self, raw: RawBatch) -> None:
        """Journal a message, waiting while the journal is busy or its server away."""
        note, self._note = (self._note, None) if raw.channel == LINK else (None, self._note)
        while True:
            try:
                await asyncio.to_thread(self.ingest.take, [raw], note)
                return
            except Temporary as busy:
                await asyncio.sleep(busy.retry_after or 0.05)

    def _want(self, symbol: str, span: Range) -> Want:
        start, end = (moment if moment not in FOREVER else None for moment in span)
        options = {"interval": self.task.interval} if self.task.interval else {}
        return Want((symbol,), self.task.channel, start, end, options)

    def _lane(self, piece: Piece) -> str:
        """The lane of a piece, the same for the same task: bars share one, ticks of each symbol have a time of their own."""
        who = ",".join(self.task.symbols) if self.task.interval or self._revised else piece.symbol
        digest = blake2b(who.encode(), digest_size=6).hexdigest()
        start, end = self.task.span
        return f"load:backfill:{self.task.channel}:{self.task.interval}:{start}-{end}:{digest}"

    def _mark(self, event: Event, lane: str) -> RawBatch:
        now = self.pipeline.clock.now()
        mark = Mark(event, at=now, detail={"feed": self.feed.name} if event is Event.BEGIN else {})
        return RawBatch.of(self.feed.name, LINK, [mark.encode()], now, lane)

    def _key(self, symbol: str) -> str:
        return f"asked:{self.feed.name}:{symbol}:{self.task.channel}:{self.task.interval}"


def outlook(cost: Cost, pace: Pace, left: dict[str, int]) -> tuple[float, int]:
    """How long (seconds) it takes at least at the pace allowed, and for how many more days than today the quota makes it last.

    >>> outlook(Cost(30, 30), Pace(per_second=1, per_day=25), {"day": 20})
    (30.0, 1)
    """
    seconds = cost.calls / pace.per_second if pace.per_second else 0.0
    if pace.per_minute:
        seconds = max(seconds, 60.0 * max(0, cost.weight - left.get("minute", pace.per_minute)) / pace.per_minute)
    over = cost.weight - left.get("day", pace.per_day) if pace.per_day else 0
    return seconds, max(0, -(-over // pace.per_day)) if pace.per_day else 0


def _text(asked: Sequence[tuple[int, int, int]]) -> str:
    return msgspec.json.encode(asked).decode()


def failed(done: Done) -> list[str]:
    """The symbols of which nothing came at all."""
    return [symbol for symbol in done.problems if not done.answers.get(symbol)]
