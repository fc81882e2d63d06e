"""Waiting for a server that is away: said once when it begins and once when it is over."""

import logging
import time
from collections.abc import Callable

from tickhouse.core import observe
from tickhouse.core.errors import Temporary

PAUSE = 0.5
"""Seconds to wait where the error does not say how long."""
ASK_SECONDS = 1.0
"""How often a server is asked of which nothing is heard."""


class Patience:
    """What one step knows of a server that it cannot do without. `away` is true from the first failure to the next success."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.away = False
        self._asked = time.monotonic()

    def note(self, error: Temporary) -> float:
        """It did not answer; returns for how many seconds to wait."""
        if not self.away:
            observe.tell("journal", "line is down", logging.WARNING, line=self.who, error=str(error))
        self.away = True
        return error.retry_after or PAUSE

    def wait(self, error: Temporary) -> None:
        """It did not answer: wait a moment."""
        time.sleep(self.note(error))

    def prove(self, ask: Callable[[], object]) -> None:
        """Ask a server that was away, and now and then any: that nothing came, or what was in memory, proves nothing."""
        if self.away or time.monotonic() - self._asked > ASK_SECONDS:
            ask()
            self._asked = time.monotonic()

    def over(self) -> None:
        """It answered."""
        if self.away:
            observe.tell("journal", "connected again", line=self.who, host=f"the journal; {self.who} goes on")
        self.away = False
