"""What every address needs: the house, worker threads, the clock, and who may ask."""

import hashlib
import hmac
from collections.abc import Callable

from tickhouse.core.clock import Clock
from tickhouse.core.secrets import Secret
from tickhouse.surfaces import House
from tickhouse.surfaces.catalog import Catalog
from tickhouse.surfaces.desk import Desk
from tickhouse.surfaces.tables import Tables

THREADS = 4
QUEUE = 64
LIGHT_THREADS = 2
LIGHT_QUEUE = 256
LIGHT_SECONDS = 5.0
"""How long a question for a few rows may take."""


class Room:
    """The parts that the addresses share. `heavy` answers with many rows, `light` with few, so neither waits for the other."""

    def __init__(
        self, house: House, clock: Clock, key: Secret | None = None, metrics: Callable[[], bytes] | None = None
    ) -> None:
        self.house, self.clock, self.key, self.metrics = house, clock, key, metrics
        self.catalog = Catalog(house, clock)
        self.tables = Tables(house, self.catalog, clock)
        self.heavy = Desk(THREADS, QUEUE)
        self.light = Desk(LIGHT_THREADS, LIGHT_QUEUE, LIGHT_SECONDS)
        self.stats: Callable[[], dict[str, int]] = dict
        self._simulated = False
        self._looked = float("-inf")

    @property
    def simulated(self) -> bool:
        """Whether the data are simulated, looked up at most once a second."""
        now = self.clock.monotonic()
        if now - self._looked >= 1.0:
            self._simulated, self._looked = bool(self.house.simulated), now
        return self._simulated

    def knows(self, given: str | None) -> bool:
        """Whether a client with this key may ask; anybody may when there is no key."""
        if not self.key:
            return True
        return given is not None and self.key.matches(given)

    @property
    def pass_text(self) -> str:
        """What the page's cookie holds instead of the key itself."""
        secret = self.key.reveal() if self.key else ""
        return hmac.new(secret.encode(), b"tickhouse page", hashlib.sha256).hexdigest()

    def passes(self, cookie: str | None) -> bool:
        """Whether a cookie was given out for this key."""
        return cookie is not None and hmac.compare_digest(self.pass_text.encode(), cookie.encode())
