"""What flows between the rooms: the Arrow schemas of the rows and the small records around them.

Times are UTC microseconds (`int64` in numpy, `timestamp[us, UTC]` in Arrow). Prices and sizes are float64; the
raw bytes keep the exact decimal text. Columnar batches of raw messages, ticks and bars are in `core.batches`.
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import pyarrow as pa

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting

TIME = pa.timestamp("us", "UTC")


class Kind(IntEnum):
    """What became of one raw message: received = parsed + control + rejected."""

    PARSED = 0
    CONTROL = 1
    REJECTED = 2


class State(IntEnum):
    """The life of a bar: forming while its window is open, final when it closed, corrected when late data came."""

    FORMING = 0
    FINAL = 1
    CORRECTED = 2


SNAPSHOT = "quote"
"""The sale condition of a tick that was made of a quote: a price that somebody was asked for, however old it is."""


class Ids(StrEnum):
    """What a source's trade ids prove."""

    DENSE = "dense"  # they rise by exactly one per symbol: a gap is a loss, a repeat a duplicate
    UNIQUE = "unique"  # a repeat is a duplicate; a gap means nothing
    NONE = "none"  # equal rows are real trades; nothing is ever dropped by content


class Cover(StrEnum):
    """What is known about a stretch of time of one source, symbol and channel."""

    LIVE = "live"  # connected, and trades came
    QUIET = "quiet"  # connected, and nothing traded
    BLIND = "blind"  # not connected, mute, or messages were lost
    DELAYED = "delayed"  # trades came, but later than the allowed lag
    BACKFILLED = "backfilled"  # was blind, and has been filled from the provider's history


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


RAW = _schema(
    position=pa.int64(),
    source=pa.string(),
    channel=pa.string(),
    lane=pa.string(),
    received_at=TIME,
    payload=pa.binary(),
)
"""One message as received. `position` is its place in the journal: one integer names one message of the house."""

TICK = _schema(
    symbol=pa.string(), source=pa.string(), event_time=TIME, received_at=TIME, price=pa.float64(), size=pa.float64(),
    first_id=pa.int64(), last_id=pa.int64(), conditions=pa.string(), raw=pa.int64(),
)  # fmt: skip
"""One observed price. `size` is null for a polled quote. A single trade has first_id = last_id; an aggregate trade
covers last_id - first_id + 1 trades of the venue; both are null where the provider has no ids. `raw` is the position
of the message it came from."""

QUOTE = _schema(
    symbol=pa.string(), source=pa.string(), event_time=TIME, received_at=TIME, price=pa.float64(), change=pa.float64(),
    change_percent=pa.float64(), day_open=pa.float64(), day_high=pa.float64(), day_low=pa.float64(),
    day_volume=pa.float64(), previous_close=pa.float64(), bid=pa.float64(), ask=pa.float64(), raw=pa.int64(),
)  # fmt: skip
"""A snapshot of a symbol as a provider states it."""

BAR = _schema(
    symbol=pa.string(), source=pa.string(), interval=pa.string(), start=TIME, open=pa.float64(), high=pa.float64(),
    low=pa.float64(), close=pa.float64(), volume=pa.float64(), vwap=pa.float64(), trades=pa.int64(),
    completeness=pa.float64(), state=pa.string(), version=pa.int32(), first_raw=pa.int64(), last_raw=pa.int64(),
    known_at=TIME,
)  # fmt: skip
"""A bar is stamped at its open: it covers [start, start + interval). `known_at` is the receive time of the last
message that this version knew."""

INDICATOR = _schema(
    symbol=pa.string(), source=pa.string(), interval=pa.string(), start=TIME, version=pa.int32(), known_at=TIME,
    values=pa.string(),
)  # fmt: skip
"""The indicators of one bar as one JSON object, `{"sma(20)": 101.5, "bollinger(20,2).upper": 103.1}`; an indicator
without enough history is absent. `version` counts the versions of this row, not of the bar."""

ANOMALY = _schema(
    symbol=pa.string(), source=pa.string(), interval=pa.string(), start=TIME, detector=pa.string(), version=pa.int32(),
    value=pa.float64(), threshold=pa.float64(), retracted=pa.bool_(), known_at=TIME,
)  # fmt: skip
"""What a detector says of one bar. A correction that takes it back writes a new version with `retracted` true."""

OBSERVATION = _schema(
    series=pa.string(), source=pa.string(), date=pa.date32(), value=pa.float64(), vintage=pa.date32(), raw=pa.int64()
)
"""One value of an economic series, as believed from `vintage` on; null where the provider says that it has none."""

ACTION = _schema(
    symbol=pa.string(), source=pa.string(), date=pa.date32(), kind=pa.string(), value=pa.float64(), raw=pa.int64()
)  # fmt: skip
"""What changes the meaning of a share's price from `date` on: `kind` is split (`value` new shares for one old one, 4.0 for
4:1) or dividend (`value` cash a share, in the currency of the listing)."""

SWITCH = _schema(
    symbol=pa.string(), at=TIME, from_source=pa.string(), to_source=pa.string(), reason=pa.string(), raw=pa.int64()
)  # fmt: skip
"""From `at` on another feed of its group is in use for a symbol; `raw` is the position of the mark that says so."""

FINDING = _schema(
    source=pa.string(), symbol=pa.string(), check=pa.string(), severity=pa.string(), at=TIME, count=pa.int64(),
    message=pa.string(), raw=pa.int64(),
)  # fmt: skip
"""What quality says: `check` is the file that says it, `severity` is info, warning or reject, `raw` the first
message that it speaks of, `count` how many rows."""

COVERAGE = _schema(
    source=pa.string(),
    symbol=pa.string(),
    channel=pa.string(),
    start=TIME,
    end=TIME,
    state=pa.string(),
    missing=pa.int64(),
)
"""A stretch [start, end) of one state (see `Cover`). Keyed by (source, symbol, channel, start): a row with the same
key replaces the one before, which is how a stretch grows and how a blind one becomes backfilled. `missing` counts
trades known to be lost."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def interval_us(text: str) -> int:
    """The length of an interval such as `1m`, `5m`, `1h` or `1d` in microseconds.

    Raises `BadSetting` for anything else.

    >>> interval_us("5m")
    300000000
    """
    match = re.fullmatch(r"([1-9]\d{0,3})([smhdw])", text)
    if not match:
        raise BadSetting("interval", text, "a number and a unit such as 1m, 5m, 1h or 1d")
    return int(match[1]) * _UNITS[match[2]] * SECOND


def interval_text(us: int) -> str:
    """The shortest text of an interval in microseconds.

    >>> interval_text(300_000_000), interval_text(3_600_000_000)
    ('5m', '1h')
    """
    seconds = us // SECOND
    unit, size = next((u, n) for u, n in reversed(_UNITS.items()) if seconds % n == 0 and u != "w")
    return f"{seconds // size}{unit}"


@dataclass(frozen=True, slots=True)
class Reject:
    """Why one message, or one row of it, was not taken. Its bytes stay in the journal and go to quarantine.

    `index` is the message's place in its raw batch; `reason` a short stable word such as `malformed`, `truncated`,
    `price`, `unknown_symbol`; `detail` one sentence for a person.
    """

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Trades that are known to be missing: `first_id` to `last_id` inclusive, traded between `start` and `end` (us)."""

    source: str
    symbol: str
    first_id: int
    last_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a store. Every part is optional; `start` is inclusive, `end` exclusive, both UTC microseconds.

    `as_of` asks for what was believed at that moment (versions with known_at at or before it). `versions` true asks
    for every version and not only the newest. `after` is the key of the last row of the page before, `limit` the
    page's size. `last` asks for the newest N rows (in ascending order), of each symbol, interval and source where rows have
    these. `before` is a journal position: only rows that had been stored when the journal was processed up to there, so that
    an engine that goes over the same records again sees the same past; `since` is one too: only rows that were stored after
    it. Rows come ordered by (symbol, interval, start, source, version). `adjust` is for
    readers: none, splits or all (`core/adjusting.py`); stores answer with what they keep.
    """

    symbols: tuple[str, ...] = ()
    interval: str | None = None
    source: str | None = None
    start: int | None = None
    end: int | None = None
    as_of: int | None = None
    versions: bool = False
    after: tuple[object, ...] | None = None
    limit: int | None = None
    last: int | None = None
    before: int | None = None
    since: int | None = None
    adjust: str = "none"


@dataclass(frozen=True, slots=True)
class Want:
    """What a feed is asked for: canonical symbols on one channel, and for history the time range (us)."""

    symbols: tuple[str, ...]
    channel: str
    start: int | None = None
    end: int | None = None
    options: dict[str, str] = field(default_factory=dict)
