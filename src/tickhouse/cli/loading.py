"""`tickhouse load` and `tickhouse replay`: files and bronze through the pipeline, with progress and a report."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tickhouse.cli.common import opened, say, settings
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, HouseLocked
from tickhouse.feeds import Feed
from tickhouse.pipeline import Pipeline
from tickhouse.process import sale_conditions
from tickhouse.steps import chosen, locks
from tickhouse.steps.load import Chunks, Load
from tickhouse.steps.notes import declare, note, notes

Progress = Callable[[int], None]

CHUNK = 1 << 20
"""Bytes of a tape that are journaled in one transaction."""


class Loading:
    """One `load` command: its files, how they are read, and the house they go to."""

    def __init__(
        self,
        data: Path | None,
        config: Path | None,
        feed: str,
        declared: dict[str, Any],
        conditions: str | None,
        again: bool,
    ) -> None:
        self.data, self.config, self.feed = data, config, feed
        self.declared, self.conditions, self.again = declared, conditions, again

    def run(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        """Load the files one after the other; returns one report each."""
        source = self.declared.get("source", "csv") if self.feed == "csv" else self.feed
        pipeline = Pipeline(settings(self.data, self.config))
        try:
            if self.conditions:
                chosen.named("--conditions", self.conditions, sale_conditions.load)
                declare(pipeline.settings, pipeline.journal, source, self.conditions)
            with working(pipeline):
                return [self._one(pipeline, path, source) for path in files]
        finally:
            pipeline.close()

    def _one(self, pipeline: Pipeline, path: Path, source: str) -> dict[str, Any]:
        reader, feed, detail = self._reader(pipeline, path)
        ingest = pipeline.ingest({source: feed})
        before = dict(pipeline.journal.ledger())
        began = time.monotonic()
        with progress(path) as tell:
            done = Load(ingest, source, path, pipeline.clock, self.again).run(reader, detail, tell)
        after = pipeline.journal.ledger()
        names = ("received", "parsed", "control", "rejected", "rows", "invalid")
        counts = {name: after.get((source, name), 0) - before.get((source, name), 0) for name in names}
        report = {"file": str(path), "source": source, "lines": done.lines, "already": done.already, **counts,
                  "seconds": round(time.monotonic() - began, 3)}  # fmt: skip
        _tell(path, report, pipeline, done.lane)
        return report

    def _reader(self, pipeline: Pipeline, path: Path) -> tuple[Chunks, Feed, dict[str, str]]:
        now = pipeline.clock.now
        if self.feed == "csv":
            from tickhouse.feeds import csv

            layout = csv.sniff(path, **self.declared)
            numbered = Numbered(csv.Csv(layout))

            def lines(skip: int, lane: str) -> Iterator[tuple[RawBatch, int]]:
                return numbered.counting(csv.read(path, layout, lane, now(), skip), skip)

            return lines, numbered, {"feed": "csv", "ids": str(numbered.ids), **layout.to_detail()}
        if self.feed not in pipeline.feeds:
            raise BadSetting("--as", self.feed, f"csv or one of {', '.join(pipeline.feeds)}")
        from tickhouse.feeds._capture import read_ndjson

        channel = pipeline.settings.feeds[self.feed].channel

        def messages(skip: int, lane: str) -> Iterator[tuple[RawBatch, int]]:
            return read_ndjson(path, self.feed, channel, lane, now(), chunk_bytes=CHUNK, skip_lines=skip)

        return messages, pipeline.feeds[self.feed], {"feed": self.feed}


class Numbered:
    """The feed of a file, whose rejects name the line they are in."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self.ids, self._line = feed, feed.ids, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.feed, name)

    def counting(self, batches: Iterable[tuple[RawBatch, int]], line: int) -> Iterator[tuple[RawBatch, int]]:
        """The batches of lines, each taken in before the next is asked for."""
        self._line = line
        for raw, consumed in batches:
            yield raw, consumed
            self._line = consumed

    def parse(self, raw: RawBatch) -> Parsed:
        """What the lines mean."""
        parsed = self.feed.parse(raw)
        named = (replace(r, detail=f"line {self._line + r.index + 1}: {r.detail}") for r in parsed.rejects)
        return replace(parsed, rejects=tuple(named))


@contextmanager
def working(pipeline: Pipeline) -> Iterator[None]:
    """Process and archive in the background while data are taken in, and finish with all of it stored.

    Roles that another process has are left to it.
    """
    ending, failures, threads = threading.Event(), [], []

    def guarded(body: Callable[[threading.Event], None]) -> None:
        try:
            body(ending)
        except BaseException as error:
            failures.append(error)

    with ExitStack() as stack:
        for name, made in (("process", _process), ("archive", _archive)):
            try:
                stack.enter_context(locks.role(pipeline.settings.data, name))
            except HouseLocked:
                continue
            threads.append(threading.Thread(target=guarded, args=(made(pipeline),), name=name))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ending.set()
            for thread in threads:
                thread.join()
    if failures:
        raise failures[0]


def _process(pipeline: Pipeline) -> Callable[[threading.Event], None]:
    process = pipeline.process()  # here, so that settings which do not fit are told before anything is taken in

    def body(ending: threading.Event) -> None:
        while not ending.is_set():
            process.step(0.1)
        process.catch_up()

    return body


def _archive(pipeline: Pipeline) -> Callable[[threading.Event], None]:
    archive = pipeline.archive()

    def body(ending: threading.Event) -> None:
        while not ending.is_set():
            archive.step(0.1)
        archive.catch_up()

    return body


def replay_into(
    data: Path | None, config: Path | None, into: Path, start: str | None, end: str | None, speed: str
) -> dict[str, Any]:
    """Replay one house into another; returns what was taken."""
    from tickhouse.core.times import instant
    from tickhouse.steps.replay import messages, replay

    pace = None if speed == "max" else _pace(speed)
    with opened(data, config) as old, opened(into, config, new=True) as new:
        if old.settings.data.absolute() == new.settings.data.absolute():
            raise BadSetting("--into", str(into), "another house than the one that is replayed")
        if facts := {**notes(old.settings.data), **notes(new.settings.data)}:
            note(new.settings.data, **facts)
        now = old.clock.now()
        span = [None if text is None else instant(text, now) for text in (start, end)]
        with working(new), progress(Path("replay")) as tell:
            taken = replay(messages(old.journal, old.lake, *span), new.ingest(past=old.past), pace, tell)
    return {"messages": taken, "into": str(into)}


def _pace(speed: str) -> float:
    try:
        pace = float(speed)
    except ValueError:
        pace = 0.0
    if not 0 < pace < math.inf:
        raise BadSetting("--speed", speed, "max, or a number above 0 such as 10")
    return pace


@contextmanager
def progress(path: Path) -> Iterator[Progress]:
    """A progress line on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda lines: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(path.name, total=None, lines=0)
        yield lambda lines: bar.update(task, lines=lines)


def _tell(path: Path, report: dict[str, Any], pipeline: Pipeline, lane: str) -> None:
    if report["already"]:
        say(f"{path.name}: loaded already; use --again to load it once more")
        return
    say(
        f"{path.name}: {report['lines']:,} lines in {report['seconds']:g} s: {report['parsed']:,} parsed, "
        f"{report['control']:,} control, {report['rejected']:,} rejected; {report['rows']:,} rows, {report['invalid']:,} invalid"
    )
    if report["rejected"] or report["invalid"]:
        for item in pipeline.journal.quarantine(limit=5):
            say(f"  {item.reason}: {item.detail}")
        say("  see `tickhouse quarantine list`")
