"""One rule for trying again: capped exponential backoff with full jitter that honours what the provider asks for.

Own and not stamina, because stamina sleeps by itself and so cannot wait on a clock that tests move.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tickhouse.core.errors import Temporary

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long (seconds) to wait before trying again.

    `attempts` counts the first try. A provider that asks for more than `patience` is not waited for: the caller gets the
    error with its `retry_after` and may come back later.
    """

    attempts: int = 6
    first: float = 0.5
    most: float = 30.0
    patience: float = 120.0
    random: Random = field(default_factory=Random, compare=False)

    def backoff(self, failures: int) -> float:
        """Seconds to wait after that many failures (1, 2, ...): anything up to first, 2 first, 4 first, ... most."""
        return self.random.uniform(0.0, min(self.most, self.first * 2.0 ** min(failures - 1, 60)))

    def wait(self, failures: int, error: Exception) -> float | None:
        """Seconds to wait before the next try, or None when there must be none."""
        if not isinstance(error, Temporary) or failures >= self.attempts:
            return None
        if error.retry_after is None:
            return self.backoff(failures)
        if error.retry_after > self.patience:
            return None
        return error.retry_after + self.random.uniform(0.0, min(self.first, 0.1 * error.retry_after))


@dataclass(frozen=True, slots=True)
class Insist:
    """Does something again while its server is away, for up to a minute, then raises what it raised."""

    sleep: Callable[[float], object]
    retry: Retry = field(default_factory=lambda: Retry(attempts=8, first=1.0, most=15.0))

    def __call__(self, work: Callable[[], T]) -> T:
        """What `work` returns. It must be harmless to do it twice."""
        failures = 0
        while True:
            try:
                return work()
            except Temporary as error:
                failures += 1
                wait = self.retry.wait(failures, error)
                if wait is None:
                    raise
                self.sleep(wait)
