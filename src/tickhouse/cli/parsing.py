"""`tickhouse parse`: raw messages, and what they mean."""

from pathlib import Path
from typing import Any

import numpy as np

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadMessage, BadSetting, TickhouseError
from tickhouse.core.model import Kind, Reject
from tickhouse.core.requests import Answer
from tickhouse.core.settings import Settings
from tickhouse.feeds import Feed
from tickhouse.quality._suite import Suite
from tickhouse.steps import chosen

CAPTURE = ".ndjson"
"""In the name of a file with a message a line, as it came or as `{"recv": ..., "raw": ...}`; it may be compressed."""


def parsed(what: str, file: Path, settings: Settings, symbol: str | None = None) -> dict[str, Any]:
    """`{"kind": ..., "rows": [...], "rejects": [...]}`, or `{"error": {"kind", "retry_after", "message"}}` when there are only
    rejects, or when the message is an answer that stands for an error.

    The message is judged as it would be on its way into a house: by the feed and the quality checks of the settings. Of `csv` the
    file is read as `load` does, and each line is a message; so it is of a capture, a file whose name has .ndjson in it.
    """
    name, colon, channel = what.partition(":")
    if not colon:
        raise BadSetting("FEED:CHANNEL", what, "a feed and a channel such as binance:trade")
    now = SystemClock().now()
    if name == "csv":
        return _answer(*_file(file, channel, symbol, now), chosen.suite(settings))
    feed = chosen.feed(settings, name)
    if CAPTURE in file.suffixes:
        try:
            return _answer(feed, _capture(file, name, channel, now), chosen.suite(settings))
        except BadMessage as damaged:
            return {"error": error(damaged)}
    body = file.read_bytes()
    refusal = feed.classify(Answer(200, {}, body, now))
    if refusal is not None:
        return {"error": error(refusal)}
    return _answer(feed, RawBatch.of(name, channel, [body], now), chosen.suite(settings))


def error(refusal: Exception) -> dict[str, Any]:
    """A classified refusal as plain values."""
    kind = type(refusal).__name__ if isinstance(refusal, TickhouseError) else "BadMessage"
    return {"kind": kind, "retry_after": getattr(refusal, "retry_after", None), "message": str(refusal)}


def _file(path: Path, kind: str, symbol: str | None, now: int) -> tuple[Feed, RawBatch]:
    """A file of lines, as one batch of them."""
    from tickhouse.feeds import csv

    layout = csv.sniff(path, **{key: value for key, value in (("kind", kind), ("symbol", symbol)) if value})
    payloads = [line for raw, _ in csv.read(path, layout, "parse", now) for line in raw.payloads()]
    return csv.Csv(layout), RawBatch.of(layout.source, layout.kind, payloads, now)


def _capture(path: Path, name: str, channel: str, now: int) -> RawBatch:
    """The messages of a capture, as one batch of them. Raises `BadMessage` when there is none."""
    from tickhouse.feeds._capture import read_ndjson

    raws = [raw for raw, _ in read_ndjson(path, name, channel, "parse", now)]
    if not raws:
        raise BadMessage(f"{path.name} holds no message")
    received = np.concatenate([raw.received_at for raw in raws])
    return RawBatch.of(name, channel, [payload for raw in raws for payload in raw.payloads()], received)


def _answer(feed: Feed, raw: RawBatch, suite: Suite) -> dict[str, Any]:
    result = feed.parse(raw)
    rejects, tables = [*result.rejects], [result.quotes, result.observations, result.actions]
    if result.ticks:
        ticks, verdicts = suite.ticks(result.ticks)
        tables.insert(0, ticks.to_arrow())
        rejects += suite.rejects(verdicts, result.ticks)
    if result.bars:
        bars, verdicts = suite.bars(result.bars)
        tables.insert(0, bars.to_arrow())
        rejects += suite.rejects(verdicts, result.bars)
    rows = [row for table in tables if table is not None for row in table.to_pylist()]
    if rejects and not rows:
        return {"error": {"kind": "BadMessage", "retry_after": None, "message": _said(rejects[0])}}
    kinds = [kind for kind in Kind if (result.kinds == kind).any()]
    kind = Kind.PARSED if Kind.PARSED in kinds else kinds[0]
    told = [{"message": reject.index + 1, "reason": reject.reason, "detail": reject.detail} for reject in rejects]
    return {"kind": kind.name.lower(), "rows": rows, "rejects": told}


def _said(reject: Reject) -> str:
    return f"{reject.reason}: {reject.detail}"
