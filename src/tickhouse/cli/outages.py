"""What a person is told while the network is away: one sentence when it goes and one when it is back, no log of every try."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tickhouse.core.observe import Event, Hook

AGAIN_SECONDS = 60.0
"""The same trouble is told again after so long."""
DOWN, UP, TRYING = (
    "line is down",
    ("connected", "connected again"),
    ("trying again", "successor failed", "too many connections"),
)


@dataclass(slots=True)
class Outages:
    """A hook for events in front of the log: lines that are down are told by `say`, once for each reason."""

    log: Hook
    say: Callable[[str], None]
    _down: dict[str, str] = field(default_factory=dict)
    _told: dict[tuple[str, str], float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Tell, or pass on to the log, or neither."""
        line, error = str(event.facts.get("line", "")), str(event.facts.get("error", ""))
        if event.name == DOWN:
            known = error in self._down.values()
            self._down[line] = error
            if not known:
                self.say(f"{error}; tickhouse goes on trying")
        elif event.name in UP and self._down.pop(line, None) is not None:
            if not self._down:
                self.say(f"connected to {event.facts.get('host', line)}")
        elif event.name not in TRYING or event.level < logging.WARNING or self._is_news(event.name, error):
            self.log(event)

    def _is_news(self, name: str, error: str) -> bool:
        now = time.monotonic()
        if now - self._told.get((name, error), -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        self._told = {key: at for key, at in self._told.items() if now - at < AGAIN_SECONDS} | {(name, error): now}
        return True
