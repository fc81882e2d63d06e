"""What a frame of Finnhub's socket means.

    {"type":"trade","data":[{"c":["1","12"],"p":164.0601,"s":"AAPL","t":1680286537580,"v":5},...]}
    {"type":"ping"}
    {"type":"error","msg":"Subscribing to too many symbols"}

A trade has no id, and equal trades are real ones. `c` are its conditions, which crypto has not. A size of 0 says that it is a
change of the price and no trade. Times are ms, not always in order; one frame may speak of several symbols.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from tickhouse.core.batches import I32, I64, NO_ID, Parsed, RawBatch, TickBatch
from tickhouse.core.model import Kind, Reject
from tickhouse.feeds._finnhub_names import Names
from tickhouse.feeds._messages import NotUnderstood
from tickhouse.feeds._polled_json import MILLISECOND, NEWEST, OLDEST, Items, decoded, milliseconds

Refusals = Sequence[tuple[str, str]]
T = TypeVar("T")
NO_CONDITIONS = Raw(b"null")


class _Trade(Struct, gc=False):
    """A trade as it is when all is well. `c` is a text still, for a day has few different ones."""

    p: float
    s: str
    t: Annotated[int, Meta(gt=OLDEST * MILLISECOND, lt=NEWEST * MILLISECOND)]
    v: float
    c: Raw = NO_CONDITIONS


class _Frame(Struct, gc=False):
    type: str
    data: list[_Trade] | None = None


class _Odd(Struct):
    """A trade of which something is missing or other than usual."""

    p: float
    s: str
    t: float
    v: float | None = None
    c: Raw = NO_CONDITIONS

    def trade(self) -> _Trade:
        """The same as an ordinary one. Raises `NotUnderstood`."""
        return _Trade(self.p, self.s, milliseconds(self.t) // MILLISECOND, self.v or 0.0, self.c)


class _OddFrame(Struct):
    type: str
    data: Raw = Raw(b"null")


_frames, _odd_frames = msgspec.json.Decoder(_Frame), msgspec.json.Decoder(_OddFrame)
_odd: Items[_Odd] = Items(_Odd)
_conditions = msgspec.json.Decoder(list[str] | None)
BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_trades(raw: RawBatch, names: Names) -> Parsed:
    """Every frame of a batch; a trade that cannot be read is refused alone."""
    trades: list[_Trade] = []
    counts: list[int] = []
    rejects: list[Reject] = []
    for index, payload in enumerate(raw.payloads()):
        try:
            found, refused = _trades(payload)
        except NotUnderstood as bad:
            found, refused = (), ((bad.reason, bad.detail),)
        trades += found
        counts.append(len(found))
        rejects += [Reject(index, reason, detail) for reason, detail in refused]
    ticks, unread = _ticks(raw, trades, np.repeat(np.arange(len(raw)), counts), names)
    rejects += unread
    kinds = np.full(len(raw), Kind.CONTROL, np.uint8)
    kinds[[reject.index for reject in rejects]] = Kind.REJECTED
    if ticks is not None:
        kinds[ticks.raw] = Kind.PARSED
    return Parsed(kinds, ticks, rejects=tuple(rejects))


def _trades(payload: bytes) -> tuple[Sequence[_Trade], Refusals]:
    """The trades of a frame, and those that cannot be read; none of both for a frame of another type."""
    try:
        frame = _frames.decode(payload)
    except BAD_JSON:
        odd = decoded(_odd_frames, payload)
        return _odd.rows(odd.data, _Odd.trade) if odd.type == "trade" else ((), ())
    if frame.type != "trade":
        return (), ()
    if frame.data is None:
        raise NotUnderstood("changed_field", "a frame of trades without data")
    return frame.data, ()


def _ticks(raw: RawBatch, trades: Sequence[_Trade], index: I64, names: Names) -> tuple[TickBatch | None, list[Reject]]:
    """The trades as one batch, and the rejects of those whose symbol or conditions cannot be read."""
    spellings, texts = [trade.s for trade in trades], [bytes(trade.c) for trade in trades]
    symbol_of, nameless = _read(spellings, names.of)
    condition_of, unread = _read(texts, _joined)
    if nameless or unread:
        bad = [nameless.get(s) or unread.get(c) for s, c in zip(spellings, texts, strict=True)]
        rejects = [Reject(at, why.reason, why.detail) for at, why in zip(index.tolist(), bad, strict=True) if why]
        good = [place for place, why in enumerate(bad) if not why]
        return _ticks(raw, [trades[place] for place in good], index[good], names)[0], rejects
    n = len(trades)
    if not n:
        return None, []
    symbols, symbol = _coded(spellings, symbol_of)
    conditions, condition = _coded(texts, {b"null": ""} | condition_of)
    size = np.fromiter((trade.v for trade in trades), np.float64, n)
    size[size == 0.0] = np.nan
    none = np.full(n, NO_ID)
    return TickBatch(
        source=raw.source, lane=raw.lane, symbols=symbols, symbol=symbol,
        event_time=np.fromiter((trade.t for trade in trades), np.int64, n) * MILLISECOND,
        received_at=raw.received_at[index], price=np.fromiter((trade.p for trade in trades), np.float64, n),
        size=size, first_id=none, last_id=none, raw=index, conditions=conditions, condition=condition,
    ), []  # fmt: skip


def _joined(text: bytes) -> str:
    """The conditions of a trade as one text, such as `1,12`. Raises `NotUnderstood`."""
    return ",".join(decoded(_conditions, text) or ())


def _read(texts: Sequence[T], meaning: Callable[[T], str]) -> tuple[dict[T, str], dict[T, NotUnderstood]]:
    """What each text means, asked once, and why those that mean nothing do not."""
    known: dict[T, str] = {}
    unknown: dict[T, NotUnderstood] = {}
    for text in dict.fromkeys(texts):
        try:
            known[text] = meaning(text)
        except NotUnderstood as bad:
            unknown[text] = bad
    return known, unknown


def _coded(texts: Sequence[T], meaning: Mapping[T, str]) -> tuple[list[str], I32]:
    """What the texts mean, each meaning once, and the code of each text."""
    words = list(dict.fromkeys(meaning.values()))
    places = {word: code for code, word in enumerate(words)}
    codes = {text: places[word] for text, word in meaning.items()}
    return words, np.fromiter(map(codes.__getitem__, texts), np.int32, len(texts))
