"""`tickhouse backfill`: says what it will take, fetches it with progress, and sums up."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from tickhouse.cli.common import emit_json, say, settings
from tickhouse.cli.working import store, working
from tickhouse.core.budget import day_end
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, Busy, Final, HouseLocked, NoData, Temporary, TickhouseError
from tickhouse.core.model import interval_us
from tickhouse.core.quantities import duration_text
from tickhouse.core.requests import Cost, Pace
from tickhouse.core.settings import FeedSettings
from tickhouse.core.symbols import canonical
from tickhouse.core.times import instant, rfc3339
from tickhouse.pipeline import Pipeline
from tickhouse.steps import chosen, locks
from tickhouse.steps.backfill import FOREVER, Backfill, Done, Piece, Task, failed, outlook
from tickhouse.steps.helping import Helping, helping
from tickhouse.steps.process import GROUP

PATIENCE = 30.0
"""How long (seconds) another process may take to store what is journaled, before what it lacks is taken for lacking."""
DAY = 86_400 * SECOND
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for, as typed."""

    source: str
    symbols: tuple[str, ...]
    start: str | None
    end: str | None
    interval: str
    channel: str | None
    again: bool = False


def backfill(data: Path | None, config: Path | None, wanted: Wanted, as_json: bool) -> None:
    """Fetch it and print what was done. Raises what it was stopped by, or `NoData` when there is nothing of some symbols."""
    pipeline = Pipeline(settings(data, config))
    try:
        section = pipeline.settings.feeds.get(wanted.source, FeedSettings())
        feed = chosen.feed(pipeline.settings, wanted.source)
        work = Backfill((feed, section.paced(feed.pace)), _task(feed, wanted, pipeline.clock.now()), pipeline)
        _settle(pipeline)
        with working(pipeline):
            report, stopped = asyncio.run(_run(work, pipeline))
    finally:
        pipeline.close()
    if as_json:
        emit_json(report)
    else:
        _sum_up(report)
    if stopped is not None:
        raise stopped
    if report["nothing"]:
        raise NoData(f"nothing could be had of {', '.join(report['nothing'])}")


def _task(feed: Any, wanted: Wanted, now: int) -> Task:
    start = None if wanted.start is None else instant(wanted.start, now)
    end = now if wanted.end is None else min(instant(wanted.end, now), now)
    symbols = [canonical(symbol) for symbol in wanted.symbols]
    task = Task.of(feed, symbols, wanted.channel, wanted.interval, (start or FOREVER[0], end))
    if task.interval:
        length = interval_us(task.interval)
        task = replace(task, span=(task.span[0] - task.span[0] % length, end - end % length))
    economic = feed.about.market == "economic" or task.channel == "economic"
    if start is None and not economic:
        raise BadSetting("--start", None, "a time such as 2015-01-01, from which on the past is wanted")
    if wanted.end is None and economic:
        task = replace(task, span=(task.span[0], FOREVER[1]))
    if start is not None and start >= end:
        raise BadSetting("--start", wanted.start, "a time before the end, in the past")
    return replace(task, again=wanted.again)


def _settle(pipeline: Pipeline) -> None:
    """Have all that is journaled in the stores, so that what they lack is lacking."""
    end, until = pipeline.journal.end(), time.monotonic() + PATIENCE
    if (pipeline.warm.position(GROUP) or 0) >= end:
        return
    try:
        with locks.role(pipeline.settings.data, "process", pipeline.settings.process.shared):
            process = helping(pipeline, Event(), say)
            store(process, PATIENCE if isinstance(process, Helping) else float("inf"))
    except HouseLocked:
        while (pipeline.warm.position(GROUP) or 0) < end and time.monotonic() < until:
            time.sleep(0.1)


async def _run(work: Backfill, pipeline: Pipeline) -> tuple[Report, TickhouseError | None]:
    """The report, and what ended it before its time."""
    began, stopped, pieces, cost = time.monotonic(), None, list[Piece](), Cost(0, 0)
    expected: str | None = None
    try:
        pieces = await asyncio.to_thread(work.plan)
        cost = sum((piece.cost for piece in pieces), Cost(0, 0))
        left = await pipeline.transport.quota(work.feed.name, work.pace)
        say(_foretold(work, pieces, cost, left, pipeline.clock.now()))
        expected = expectation(cost, work.pace, left, pipeline.clock.now())
        with _progress(work.feed.name, cost.calls) as tell:
            await work.run(pieces, tell)
    except (Temporary, Final) as error:
        if isinstance(error, Busy):
            raise
        stopped = error
    finally:
        left = await pipeline.transport.quota(work.feed.name, work.pace)
        await pipeline.transport.close()
    report = {
        "source": work.feed.name, "channel": work.task.channel, "interval": work.task.interval or None,
        "symbols": len(work.task.symbols), "ranges": len(pieces), "expected_calls": cost.calls, "expected_end": expected,
        "calls": work.done.calls,
        "answers": work.done.answers, "problems": work.done.problems, "nothing": failed(work.done),
        "complete": stopped is None, "stopped": str(stopped) if stopped else None, "left": left,
        "seconds": round(time.monotonic() - began, 3),
    }  # fmt: skip
    return report, stopped


def _foretold(work: Backfill, pieces: Sequence[Piece], cost: Cost, left: dict[str, int], now: int) -> str:
    """What it will take, in one sentence."""
    name, symbols = work.feed.name, len({piece.symbol for piece in pieces})
    if not pieces:
        return f"{name}: nothing is lacking of {len(work.task.symbols)} symbols"
    seconds, days = outlook(cost, work.pace, left)
    said = f"{name}: {len(pieces)} ranges of {symbols} symbols are lacking; that takes {cost.calls:,} calls at least"
    if work.pace.per_day:
        said += f", of {left['day']:,} left today" + (
            f" ({cost.weight / max(left['day'], 1):.0%})" if left["day"] else ""
        )
    if work.pace.per_minute:
        said += f", {cost.weight / work.pace.per_minute:.1%} of what a minute allows"
    end = expectation(cost, work.pace, left, now)
    if days:
        return f"{said}: it will stop when the day's quota is spent; run it again on {days} more days, until {end[:10]}"
    return f"{said}, about {duration_text(max(1.0, round(seconds)))}, until {end[11:16]}Z"


def expectation(cost: Cost, pace: Pace, left: dict[str, int], now: int) -> str:
    """When it will be done at the earliest: with a quota that makes it last for days, at the beginning of the last of them.

    >>> expectation(Cost(90, 90), Pace(per_second=1), {}, 0), expectation(Cost(30, 30), Pace(per_day=25), {"day": 20}, 0)
    ('1970-01-01T00:01:30Z', '1970-01-02T00:00:00Z')
    """
    seconds, days = outlook(cost, pace, left)
    if days:
        return rfc3339(day_end(pace, now) + (days - 1) * DAY)
    return rfc3339(now + round(seconds) * SECOND)


@contextmanager
def _progress(name: str, calls: int) -> Iterator[Callable[[Done], None]]:
    """Calls made of those expected, with the time left, on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("calls"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=calls)
        yield lambda done: bar.update(task, completed=done.calls, total=max(calls, done.calls))


def _sum_up(report: Report) -> None:
    left = "".join(f", {n:,} left of the {window}'s quota" for window, n in report["left"].items())
    say(f"{report['source']}: {report['calls']:,} calls in {report['seconds']:g} s{left}")
    for symbol, problem in report["problems"].items():
        say(f"  {symbol}: {problem}")
    if report["stopped"]:
        say("  what is fetched is kept; the same command goes on from here")
