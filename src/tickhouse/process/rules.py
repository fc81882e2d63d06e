"""The rules an engine works by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import Ids, interval_text
from tickhouse.process.sale_conditions import ConditionRule

MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Rules:
    """When windows open and close, and what counts. All times in microseconds.

    `intervals_us` are the lengths of the bars. `lateness_us` is how much older than the newest tick of its lane a tick may be;
    `grace_us` how much longer a window waits where only the clock goes on; `horizon_us` how long closed windows and ids stay in
    memory. A live tick more than `max_ahead_us` ahead of its receive time moves no watermark, and trades that mostly come more than
    `lag_us` after their event time are delayed. `ids` and `conditions` are by source; a source that is
    not named, such as a file, has `Ids.UNIQUE`: ids it may bring tell repeats, rows without one are never repeats.
    """

    intervals_us: tuple[int, ...] = (MINUTE, 5 * MINUTE)
    lateness_us: int = 5 * SECOND
    grace_us: int = 5 * SECOND
    horizon_us: int = 5 * MINUTE
    max_ahead_us: int = MINUTE
    lag_us: int = 10 * SECOND
    ids: Mapping[str, Ids] = field(default_factory=dict)
    conditions: Mapping[str, ConditionRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.intervals_us or min(self.intervals_us) < SECOND or any(i % SECOND for i in self.intervals_us):
            raise BadSetting("process.intervals", self.intervals_us, "at least one interval of whole seconds")
        if min(self.lateness_us, self.grace_us, self.horizon_us) < 0:
            raise BadSetting("process.lateness, grace, horizon", "a negative length", "lengths of time")
        object.__setattr__(self, "intervals_us", tuple(sorted(set(self.intervals_us))))

    @property
    def base_us(self) -> int:
        """The shortest interval."""
        return self.intervals_us[0]

    def width(self, interval: int) -> int:
        """How many windows of an interval are kept for each series."""
        return -(-(self.lateness_us + self.grace_us + self.horizon_us) // interval) + 2

    def ids_of(self, source: str) -> Ids:
        """What the trade ids of a source prove."""
        return self.ids.get(source, Ids.UNIQUE)

    def fingerprint(self, sources: tuple[str, ...]) -> dict[str, object]:
        """What must be the same for state to be of use again; `sources` are those in the state.

        >>> Rules().fingerprint(())["intervals"]
        ['1m', '5m']
        """
        times = ("lateness_us", "grace_us", "horizon_us", "max_ahead_us", "lag_us")
        rules = {name: self.conditions[name] for name in sources if name in self.conditions}
        return {
            "intervals": [interval_text(i) for i in self.intervals_us],
            **{name: getattr(self, name) for name in times},
            "ids": {name: str(self.ids_of(name)) for name in sources},
            "conditions": {name: f"{rule.name} {rule.version}" for name, rule in rules.items()},
        }
