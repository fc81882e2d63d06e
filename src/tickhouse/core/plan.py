"""How often a provider can be polled so that its quota lasts: what is left is spread over what is still wanted."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from tickhouse.core.requests import Answer, Pace, Request


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds from the beginning of one round to that of the next; `wished` are those that were asked for, `reason` says why
    they are not kept, and is empty where they are."""

    every: float
    wished: float
    reason: str = ""

    @property
    def stretched(self) -> bool:
        """Whether rounds come less often than was asked for."""
        return self.every > self.wished


def planned(wished: float, weight: int, pace: Pace, left: Mapping[str, int], hours: float) -> Plan:
    """The plan for rounds that weigh so much each.

    `left` is what is left of the day's quota, as `Budget.left` tells it; `hours` are the seconds until the day's end in which
    prices are wanted after the round that was just made. Where not even one round is left, the next one is for the next day.

    >>> planned(60, 5, Pace(per_day=25), {"day": 20}, 6 * 3600).every
    4320.0
    >>> planned(60, 5, Pace(per_minute=60), {}, 6 * 3600)
    Plan(every=60, wished=60, reason='')
    """
    found = Plan(wished, wished)
    if pace.per_minute and 60.0 * weight / pace.per_minute > wished:
        reason = f"a round weighs {weight} and {pace.per_minute} a minute are allowed"
        found = Plan(60.0 * weight / pace.per_minute, wished, reason)
    if pace.per_day and hours > 0 and weight:
        rounds = left.get("day", pace.per_day) // weight
        every = hours / (rounds + 1) if rounds else hours + wished
        if every > found.every:
            return Plan(
                every, wished, f"a round weighs {weight} and {left.get('day', pace.per_day)} are left of the day"
            )
    return found


class Weighed(Generator[Request, Answer, None]):
    """A conversation that counts what its requests weigh."""

    def __init__(self, conversation: Generator[Request, Answer, None]) -> None:
        self._conversation, self.weight = conversation, 0

    def send(self, answer: Any) -> Request:
        """The next request; see `Generator.send`."""
        return self._counted(self._conversation.send(answer))

    def throw(self, *error: Any) -> Request:
        """What is asked instead; see `Generator.throw`."""
        return self._counted(self._conversation.throw(*error))

    def _counted(self, request: Request) -> Request:
        self.weight += request.weight
        return request
