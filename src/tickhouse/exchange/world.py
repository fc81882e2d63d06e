"""Everything that a dialect may speak of: the trades, the longer past, the economy, the time, and what is allowed."""

from functools import cached_property
from typing import TYPE_CHECKING

from tickhouse.exchange import Now
from tickhouse.exchange.history import History
from tickhouse.exchange.limits import Doorman
from tickhouse.exchange.terms import Clerk, Terms

if TYPE_CHECKING:
    from tickhouse.exchange.chronicle import Chronicle
    from tickhouse.exchange.economy import Economy


class World:
    """What a running exchange has. The longer past and the economy are made when they are first asked for."""

    def __init__(self, history: History, doorman: Doorman, now: Now) -> None:
        self.history, self.doorman, self.now = history, doorman, now
        self.clerks: dict[str, Clerk] = {}

    @cached_property
    def chronicle(self) -> "Chronicle":
        """Prices of every instrument at any time; shares and currencies are traded from the first look at it on."""
        from tickhouse.exchange.chronicle import Chronicle

        return Chronicle(self.history, self.now)

    @cached_property
    def economy(self) -> "Economy":
        """The economic series."""
        from tickhouse.exchange.economy import Economy

        return Economy(int(str(self.history.source.about().get("seed", 0))))

    def moment(self) -> int:
        """The event time up to which prices are public (us)."""
        return self.history.visible if self.history.visible > 0 else self.now()

    def clerk(self, name: str, terms: Terms) -> Clerk:
        """Who counts the requests of a dialect."""
        return self.clerks.setdefault(name, Clerk(terms, self.now))
