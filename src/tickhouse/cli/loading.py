"""`tickhouse load`: files through the pipeline, with progress and a report."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickhouse.cli.common import say, settings
from tickhouse.cli.working import progress, working
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import BadMessage, BadSetting, SettingsError, TickhouseError
from tickhouse.feeds import Feed
from tickhouse.pipeline import Pipeline
from tickhouse.process import sale_conditions
from tickhouse.steps import chosen
from tickhouse.steps.lanes import FIRST_LINE
from tickhouse.steps.load import Chunks, Load, Loaded
from tickhouse.steps.notes import declare

CHUNK = 1 << 20
"""Bytes of a tape that are journaled in one transaction."""
SHOWN = 5
COUNTS = ("received", "parsed", "control", "rejected", "rows", "invalid")


@dataclass
class Loading:
    """One `load` command: its files, how they are read, and the house they go to.

    `declared` are the options about the files by name; `failures` is what was wrong with files that could not be loaded.
    """

    data: Path | None
    config: Path | None
    feed: str
    declared: dict[str, Any]
    conditions: str | None
    again: bool
    failures: list[TickhouseError] = field(default_factory=list)

    def run(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        """Load the files one after the other; returns one report each. One that cannot be read does not keep the others out."""
        source = self.declared.get("source", "csv") if self.feed == "csv" else self.feed
        pipeline = Pipeline(settings(self.data, self.config))
        try:
            if self.conditions:
                chosen.named("--conditions", self.conditions, sale_conditions.load)
                declare(pipeline.settings, pipeline.journal, source, self.conditions)
            pipeline.check()
            with working(pipeline) as check:
                return [self._tried(pipeline, path, source, check) for path in files]
        finally:
            pipeline.close()

    def _tried(self, pipeline: Pipeline, path: Path, source: str, check: Callable[[], None]) -> dict[str, Any]:
        try:
            if not path.is_file():
                raise SettingsError(f"{path}: there is no such file")
            return self._one(pipeline, path, source, check)
        except (SettingsError, BadMessage) as error:
            say(f"tickhouse: {error}")
            self.failures.append(error)
            return {"file": str(path), "source": source, "error": str(error)}

    def _one(self, pipeline: Pipeline, path: Path, source: str, check: Callable[[], None]) -> dict[str, Any]:
        file = self._opened(pipeline, path)
        began, ingest = time.monotonic(), pipeline.ingest({source: file.feed})
        load = Load(ingest, source, path, pipeline.clock, file.detail, self.again)
        with progress(path.name, path.stat().st_size) as tell:

            def told(lines: int) -> None:
                check()
                tell(file.gone, f"{lines:,} lines")

            done = load.run(file.chunks, told)
        counts = {name: ingest.taken[name] for name in COUNTS}
        report = {"file": str(path), "source": source, "lane": done.lane, "lines": done.lines, "already": done.already, **counts,
                  "seconds": round(time.monotonic() - began, 3)}  # fmt: skip
        _tell(path, report, pipeline, done)
        return report

    def _opened(self, pipeline: Pipeline, path: Path) -> "_File":
        """How a file is read. Raises `SettingsError`."""
        if self.feed == "csv":
            return _table(path, self.declared, pipeline.clock.now())
        if self.feed not in pipeline.feeds:
            raise BadSetting("--as", self.feed, f"csv or one of {', '.join(pipeline.feeds)}")
        channel = pipeline.settings.feeds[self.feed].channel or pipeline.feeds[self.feed].channel
        return _tape(path, pipeline.feeds[self.feed], channel, pipeline.clock.now())


@dataclass
class _File:
    """A file that is read: by which feed, what the mark says that its load begins with, and how many bytes are gone through."""

    feed: Feed
    detail: dict[str, str]
    chunks: Chunks
    gone: int = 0

    def tell(self, done: int) -> None:
        self.gone = done


def _table(path: Path, declared: dict[str, Any], now: int) -> _File:
    """A file of ticks or bars."""
    from tickhouse.feeds import csv

    try:
        layout = csv.sniff(path, **declared)
    except BadSetting as bad:
        raise _about(path, bad) from bad
    feed = csv.Csv(layout)
    about = {"feed": "csv", "ids": str(feed.ids), FIRST_LINE: str(csv.first_line(path))}

    def lines(skip: int, lane: str) -> Iterator[tuple[RawBatch, int]]:
        return csv.read(path, layout, lane, now, skip, tell=file.tell)

    file = _File(feed, {**about, **layout.to_detail()}, lines)
    return file


def _tape(path: Path, feed: Feed, channel: str, now: int) -> _File:
    """A file of raw messages of a provider."""
    from tickhouse.feeds._capture import read_ndjson

    def messages(skip: int, lane: str) -> Iterator[tuple[RawBatch, int]]:
        return read_ndjson(path, feed.name, channel, lane, now, chunk_bytes=CHUNK, skip_lines=skip, tell=file.tell)

    file = _File(feed, {"feed": feed.name}, messages)
    return file


def _about(path: Path, bad: BadSetting) -> SettingsError:
    """What is wrong with a file in the words of the command line."""
    if bad.key == "file":
        return SettingsError(f"{path}: this is not {bad.expected}")
    given = repr(bad.given) if bad.given not in ("", None) else "nothing"
    return SettingsError(f"{path.name}: --{bad.key.replace('_', '-')}: got {given}, expected {bad.expected}")


def _tell(path: Path, report: dict[str, Any], pipeline: Pipeline, done: Loaded) -> None:
    if done.otherwise:
        say(
            f"{path.name}: it was loaded before, read in another way ({done.otherwise}), and what it brought then is still there; "
            f"`tickhouse replay --into NEW --without {path.name}` makes a house without it, into which it can be loaded again"
        )
    if done.already:
        say(f"{path.name}: loaded already; use --again to load it once more")
        return
    say(
        f"{path.name}: {report['lines']:,} lines in {report['seconds']:g} s: {report['parsed']:,} parsed, "
        f"{report['control']:,} control, {report['rejected']:,} rejected; {report['rows']:,} rows, {report['invalid']:,} invalid"
    )
    if report["rejected"] or report["invalid"]:
        for item in pipeline.journal.quarantine(limit=SHOWN, lane=done.lane):
            say(f"  {item.reason}: {item.detail}")
        more = report["rejected"] + report["invalid"] - SHOWN
        say(f"  see `tickhouse quarantine list`{f' for {more:,} more' if more > 0 else ''}")
