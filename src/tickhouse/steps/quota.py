"""What providers allow, and what is left of it now, over all processes of a house."""

from collections.abc import Mapping
from typing import Any

from tickhouse.core.budget import Budget, day_end
from tickhouse.core.clock import Clock
from tickhouse.core.requests import Pace
from tickhouse.core.settings import Settings
from tickhouse.core.times import rfc3339

Quota = dict[str, Any]


def quotas(settings: Settings, paces: Mapping[str, Pace], clock: Clock) -> dict[str, Quota]:
    """Of each feed what is `allowed` by second, minute and day, what is `left` of minute and day, and when its day ends."""
    path = settings.data / "budget.db"
    budget = Budget(path, clock) if path.exists() else None
    try:
        return {name: _quota(name, pace, budget, clock) for name, pace in paces.items()}
    finally:
        if budget is not None:
            budget.close()


def _quota(feed: str, pace: Pace, budget: Budget | None, clock: Clock) -> Quota:
    limits = {"second": pace.per_second, "minute": pace.per_minute, "day": pace.per_day}
    allowed = {name: limit for name, limit in limits.items() if limit}
    whole = {name: limit for name, limit in allowed.items() if name != "second"}
    left = dict(budget.left(feed, pace)) if budget is not None else whole
    ends = {"day_ends": rfc3339(day_end(pace, clock.now()))} if pace.per_day else {}
    return {"allowed": allowed, "left": left, **ends}


def told(quota: Quota) -> str:
    """Of the day and the minute, or what there is of a limit.

    >>> told({"allowed": {"second": 1, "day": 25}, "left": {"day": 20}}), told({"allowed": {}, "left": {}})
    ('20 of 25 a day, 1 a second', 'no limit')
    """
    allowed, left = quota["allowed"], quota["left"]
    parts = [f"{left[name]} of {allowed[name]} a {name}" for name in ("day", "minute") if name in left]
    parts += [f"{allowed['second']:g} a second"] if "second" in allowed else []
    return ", ".join(parts) or "no limit"
