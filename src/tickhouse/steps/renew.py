"""Symbols that alone fell mute, or never said a word, are subscribed anew, while the others of their line go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from tickhouse.core.clock import SECOND
from tickhouse.quality import Silent
from tickhouse.quality._suite import Suite
from tickhouse.quality.staleness import Staleness

log = structlog.get_logger()
Again = Callable[[str], bool]
"""Subscribes a symbol anew; whether it could (see `Transport.renew`)."""

AT_ONCE = 2
"""Symbols renewed in one step: providers allow few messages a second."""
LONGEST = 64
"""A symbol that stays silent is renewed after twice as long each time, up to so many times the first wait. One of which nothing
ever came is left alone then, until its line connects again: it is quiet, not mute."""


@dataclass(slots=True)
class _Told:
    since: int
    at: int
    times: int = 1


class Renew:
    """Finds silent symbols by the check `staleness` and subscribes them anew, each less and less often while it stays silent."""

    def __init__(self, suite: Suite, again: Again) -> None:
        self.again = again
        self.checks = [check for check in suite.checks if isinstance(check, Staleness)]
        self.renewed = 0
        self._told: dict[tuple[str, str], _Told] = {}

    def due(self, now: int) -> list[Silent]:
        """Whom to renew now (us). Call it where ingest runs, which the check listens to."""
        found: list[Silent] = []
        for check in self.checks:
            silent = check.silent(now)
            self._forget(silent)
            found += [one for one in silent if self._is_due(one, now, check.stale_after)]
        return sorted(found, key=self._often)

    def step(self, silent: Sequence[Silent], now: int) -> None:
        """Renew some of the symbols that are due. Call it where the lines run."""
        for one in islice(filter(lambda one: self.again(one.symbol), silent), AT_ONCE):
            told = self._told.setdefault((one.source, one.symbol), _Told(one.since, now, 0))
            told.at, told.times = now, told.times + 1
            self.renewed += 1
            silence = round((now - one.since) / SECOND)
            log.info("subscribed anew", source=one.source, symbol=one.symbol, silent_seconds=silence)

    def _forget(self, silent: Sequence[Silent]) -> None:
        """A symbol that was heard again begins anew."""
        still = {(one.source, one.symbol): one.since for one in silent}
        self._told = {key: told for key, told in self._told.items() if still.get(key) == told.since}

    def _is_due(self, one: Silent, now: int, stale_after: int) -> bool:
        told = self._told.get((one.source, one.symbol))
        if told is None:
            return True
        waits = 1 << told.times
        quiet = not one.heard and waits > LONGEST
        return not quiet and now - told.at >= stale_after * min(waits, LONGEST)

    def _often(self, one: Silent) -> tuple[int, int]:
        told = self._told.get((one.source, one.symbol))
        return (told.times if told else 0, one.since)
