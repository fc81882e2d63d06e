"""Faults on demand: which there are, how often, and an account of each one made.

Which messages are hit depends on the seed and on what the message is about (instrument, trade id), never on when it
was sent or to whom: the same market with the same faults spoils the same trades.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.errors import BadSetting
from tickhouse.core.errors import nearest as nearest_name
from tickhouse.exchange import I64

U64 = NDArray[np.uint64]
MESSAGE = (
    "duplicates", "disorder", "late", "malformed", "half_frames", "changed_fields", "bad_values", "gaps", "mutes",
    "disconnects",
)  # fmt: skip
"""Faults of the socket, in the order in which they are tried; each is a share of messages, and a message has at most one."""
ANSWER = ("error_bodies", "too_many", "server_errors", "slow", "half_answers", "bad_answers", "changed_answers")
"""Faults of REST; each is a share of requests."""
STORMY = ANSWER[:5]
"""Those of a storm: an answer that cannot be understood is given up for a while, not asked for again at once."""
NONE, DUPLICATE, DISORDER, LATE, MALFORMED, HALF, CHANGED, BAD, GAP, MUTE, DISCONNECT = range(11)
LOG = 20_000
"""How many of the newest faults are remembered one by one."""
_SPAN = 2.0**-53


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fault happens, as a share (0 to 1) of messages or of requests.

    duplicates: sent twice, at once or up to `disorder_ms` later. disorder: sent up to `disorder_ms` late. late: from here on
    one symbol's messages are held back and come in a burst after `late_ms`. malformed: not a message at all.
    half_frames: the JSON breaks off. changed_fields: a key has another name or type. bad_values: a price that cannot be.
    gaps: 1 to `gap_trades` trades in a row are never sent (REST has them). mutes: one symbol is silent for `mute_ms` or until it is
    subscribed again, others flow. disconnects: the connection breaks without a word.
    error_bodies: 200 with an error. too_many: 429 with Retry-After. server_errors: 5xx. slow: answered `slow_ms` late.
    half_answers: the JSON breaks off. bad_answers: not an answer at all. changed_answers: a key has another name or type.
    """

    duplicates: float = 0.0
    disorder: float = 0.0
    late: float = 0.0
    malformed: float = 0.0
    half_frames: float = 0.0
    changed_fields: float = 0.0
    bad_values: float = 0.0
    gaps: float = 0.0
    mutes: float = 0.0
    disconnects: float = 0.0
    error_bodies: float = 0.0
    too_many: float = 0.0
    server_errors: float = 0.0
    slow: float = 0.0
    half_answers: float = 0.0
    bad_answers: float = 0.0
    changed_answers: float = 0.0
    disorder_ms: float = 500.0
    late_ms: float = 10_000.0
    gap_trades: int = 20
    mute_ms: float = 30_000.0
    slow_ms: float = 2_000.0
    seed: int = 0

    def __post_init__(self) -> None:
        for kind in (*MESSAGE, *ANSWER):
            if not 0 <= getattr(self, kind) <= 1:
                raise BadSetting(f"fault.{kind}", getattr(self, kind), "a share from 0 to 1")
        for kinds, of in ((MESSAGE, "messages"), (ANSWER, "requests")):
            if sum(getattr(self, kind) for kind in kinds) > 1 + 1e-9:
                raise BadSetting("fault", asdict(self), f"shares of {of} that are not more than 1 together")
        for name in ("disorder_ms", "late_ms", "mute_ms", "slow_ms"):
            if not 0 <= getattr(self, name) <= 3_600_000:
                raise BadSetting(f"fault.{name}", getattr(self, name), "milliseconds, at most an hour")
        if self.gap_trades < 1:
            raise BadSetting("fault.gap_trades", self.gap_trades, "1 or more")

    @classmethod
    def storm(cls, share: float, seed: int = 0) -> "Faults":
        """Much at once: this share of messages and of requests is spoiled, and now and then the line breaks.

        >>> round(Faults.storm(0.3).gaps, 6)
        0.05
        """
        each = share / 6
        rare = dict.fromkeys(("late", "mutes", "disconnects"), share / 1000)
        often = dict.fromkeys(("duplicates", "disorder", "malformed", "half_frames", "changed_fields", "gaps"), each)
        return cls(**often, **rare, **dict.fromkeys(STORMY, share / len(STORMY)), gap_trades=1, seed=seed)

    @property
    def on_messages(self) -> bool:
        """Whether any message can be hit."""
        return any(getattr(self, kind) for kind in MESSAGE)

    def changed(self, **values: Any) -> "Faults":
        """The same with some values changed. Raises `BadSetting` for a name there is not or a value that cannot be."""
        known = [one.name for one in fields(self)]
        read: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                hint = nearest_name(name, known)
                raise BadSetting("fault", name, f"{hint!r}?" if hint else f"one of {', '.join(known)}")
            whole = name in ("gap_trades", "seed")
            if isinstance(value, bool) or not isinstance(value, int | float) or (whole and value != int(value)):
                raise BadSetting(f"fault.{name}", value, "a whole number" if whole else "a number")
            read[name] = int(value) if whole else float(value)
        return replace(self, **read)


def parse(text: str) -> Faults:
    """Faults as they are written on the command line; `storm` stands for all of them.

    Raises `BadSetting`.

    >>> parse("duplicates=0.01, gap_trades=5").gap_trades
    5
    """
    values: dict[str, float] = {}
    for part in filter(None, re.split(r"[,\s]+", text)):
        name, _, value = part.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise BadSetting("fault", part, "name=share, e.g. duplicates=0.01") from None
    base = Faults.storm(values.pop("storm")) if "storm" in values else Faults()
    return base.changed(**values)


def parse_all(text: str, names: Iterable[str]) -> tuple[Faults, dict[str, Faults]]:
    """Faults of all dialects, and those of single ones, which are written behind their name. Raises `BadSetting`.

    >>> parse_all("gaps=0.1, yahoo.slow=1", ["yahoo"])[1]["yahoo"].slow
    1.0
    """
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    own: dict[str, list[str]] = {}
    for part in parts:
        name, dot, _ = part.partition("=")[0].partition(".")
        if dot and name not in names:
            raise BadSetting("fault", part, f"a fault, or one of a dialect: {', '.join(names)}")
        own.setdefault(name if dot else "", []).append(part.partition(".")[2] if dot else part)
    general = parse(",".join(own.pop("", [])))
    return general, {name: parse(",".join(faults)) for name, faults in own.items()}


class Account:
    """How many of each fault really happened, and the newest of them one by one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys((*MESSAGE, *ANSWER), 0))
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG)

    def note(self, kind: str, **about: Any) -> None:
        """One fault was made."""
        self.counts[kind] += 1
        self.log.append({"fault": kind, **about})


def chosen(faults: Faults, code: I64, id_: I64) -> tuple[NDArray[np.int8], U64]:
    """For each message the fault that hits it (NONE or one of the numbers above), and 32 random bits for its details."""
    bits = mixed(code, id_, faults.seed)
    limits = np.cumsum([getattr(faults, kind) for kind in MESSAGE])
    share = (bits >> np.uint64(11)).astype(np.float64) * _SPAN
    place = np.searchsorted(limits, share, "right")
    kinds = np.where(place < len(MESSAGE), place + 1, NONE).astype(np.int8)
    return kinds, mixed(code, id_, faults.seed + 1) & np.uint64(0xFFFFFFFF)


def mixed(code: I64, id_: I64, seed: int) -> U64:
    """64 bits that look random but follow from instrument, id and seed (splitmix64)."""
    start = (seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF
    x: U64 = id_.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + code.astype(np.uint64) * np.uint64(
        0xD1B54A32D192ED03
    )
    x = x + np.array([start], np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
