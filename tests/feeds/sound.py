"""What holds for whatever a provider sends."""

import math

import numpy as np

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import TickhouseError
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import Feed

LATER = 1_800_000_000_000_000


def sound(feed: Feed, channel: str, payload: bytes) -> Parsed:
    """What a message means: rows of finite numbers and reasons in a sentence; as an answer it is data, or one of our errors."""
    found = feed.parse(RawBatch.of(feed.name, channel, [payload], LATER))
    assert (found.kinds[0] == Kind.REJECTED) <= bool(found.rejects)
    for reject in found.rejects:
        assert reject.reason.isidentifier() and 0 < len(reject.detail) < 400
    for row in found.quotes.to_pylist() if found.quotes is not None else ():
        assert row["symbol"] and math.isfinite(row["price"]) and row["event_time"].year >= 1970
    for row in found.observations.to_pylist() if found.observations is not None else ():
        assert row["series"] and (row["value"] is None or math.isfinite(row["value"]))
    if found.bars is not None:
        for column in ("open", "high", "low", "close", "volume"):
            assert np.isfinite(getattr(found.bars, column)).all()
        assert (np.diff(found.bars.start) >= 0).all()
    error = feed.classify(Answer(200, {}, payload, LATER))
    assert error is None or isinstance(error, TickhouseError)
    return found
