"""What the evidence says of each feed of a group, for one symbol at one moment. Pure: everything is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tickhouse.core.clock import SECOND
from tickhouse.steps.choosing import BAD, GOOD, SILENT, UNKNOWN, Verdict

Open = Callable[[int, int], int]
"""For how long (us) of [since, until) the market of the symbol was open."""


@dataclass(frozen=True, slots=True)
class Sign:
    """How one feed is for one symbol. Moments are UTC us.

    `state` is that of its line (see `core.line.Health`) since `since`, `error` the line's last problem. `said` is the moment of
    its newest price: when it was traded, or when it came, whichever is earlier; 0 where none came. `came` is when a price
    came last, `every` how long (us) it may take until the next is asked for.
    """

    state: str
    since: int
    error: str = ""
    said: int = 0
    came: int = 0
    every: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and why, in words for a person."""

    verdict: Verdict
    why: str = ""


def judged(signs: Sequence[Sign | None], now: int, stale_after: int, is_open: Open) -> list[Judged]:
    """One verdict for each feed; None stands for one that is not asked. `stale_after` is in us.

    A price is stale when the market was open for longer than `stale_after` (and two rounds of polling) since it, and another
    feed tells of one that is so much newer. While no other does, the feed is only silent. A provider whose clock is behind,
    or that tells of prices late, is stale beside one that does not.
    """
    return [_judged(sign, [o for o in signs if o and o is not sign], now, stale_after, is_open) for sign in signs]


def _judged(sign: Sign | None, others: Sequence[Sign], now: int, stale_after: int, is_open: Open) -> Judged:
    if sign is None:
        return Judged(UNKNOWN, "not asked")
    if sign.state in ("down", "stopped"):
        return Judged(BAD, sign.error or "its line is down")
    patience = stale_after + 2 * sign.every
    silent = is_open(sign.said or sign.since, now)
    if sign.state != "connected":
        return Judged(BAD, "it has not answered") if is_open(sign.since, now) > patience else Judged(UNKNOWN)
    if silent <= patience:
        return Judged(GOOD) if sign.came >= sign.since else Judged(UNKNOWN, "nothing came since it is connected")
    newest = max((other.said for other in others if other.state == "connected"), default=0)
    if newest - (sign.said or sign.since) > patience:
        behind = (newest - (sign.said or sign.since)) // SECOND
        return Judged(BAD, f"its newest price is {behind} s older than that of another feed")
    return Judged(SILENT, f"no price for {silent // SECOND} s")
