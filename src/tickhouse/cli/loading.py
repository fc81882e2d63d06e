"""`tickhouse load`: files through the pipeline, with progress and a report."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tickhouse.cli.common import say, settings
from tickhouse.cli.working import progress, working
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting
from tickhouse.feeds import Feed
from tickhouse.pipeline import Pipeline
from tickhouse.steps.load import Chunks, Load
from tickhouse.steps.notes import declare

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
        with progress(path.name, path.stat().st_size) as tell:

            def told(lines: int) -> None:
                tell(lines, f"{lines:,} lines")

            done = Load(ingest, source, path, pipeline.clock, self.again).run(reader, detail, told)
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

        channel = pipeline.settings.feeds[self.feed].channel or pipeline.feeds[self.feed].channel

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
