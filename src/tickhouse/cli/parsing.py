"""`tickhouse parse`: one raw message, and what it means."""

from pathlib import Path
from typing import Any

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadSetting, RateLimited, TickhouseError
from tickhouse.core.model import Kind
from tickhouse.core.plugins import load
from tickhouse.core.requests import Answer


def parsed(what: str, file: Path) -> dict[str, Any]:
    """`{"kind": ..., "rows": [...]}`, or `{"error": {"kind", "retry_after", "message"}}`."""
    name, colon, channel = what.partition(":")
    if not colon:
        raise BadSetting("FEED:CHANNEL", what, "a feed and a channel such as binance:trade")
    feed, now, body = load("feeds", name).open(), SystemClock().now(), file.read_bytes()
    refusal = feed.classify(Answer(200, {}, body, now))
    if refusal is not None:
        return {"error": error(refusal)}
    result = feed.parse(RawBatch.of(name, channel, [body], now))
    if result.rejects:
        reject = result.rejects[0]
        return {"error": {"kind": "BadMessage", "retry_after": None, "message": f"{reject.reason}: {reject.detail}"}}
    batches = [batch.to_arrow() for batch in (result.ticks, result.bars) if batch is not None]
    tables = [table for table in (result.quotes, result.observations, result.actions) if table is not None]
    rows = [row for table in (*batches, *tables) for row in table.to_pylist()]
    return {"kind": Kind(int(result.kinds[0])).name.lower(), "rows": rows}


def error(refusal: Exception) -> dict[str, Any]:
    """A classified refusal as plain values."""
    after = refusal.retry_after if isinstance(refusal, RateLimited) else getattr(refusal, "retry_after", None)
    kind = type(refusal).__name__ if isinstance(refusal, TickhouseError) else "BadMessage"
    return {"kind": kind, "retry_after": after, "message": str(refusal)}
