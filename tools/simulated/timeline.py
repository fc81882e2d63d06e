"""A day in a moment: a clock that goes on as soon as everybody waits."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush

from tickhouse.core.clock import SECOND, ManualClock


def us(text: str) -> int:
    """A moment in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def text(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / SECOND, UTC):%m-%d %H:%M:%S}"


PATIENT = 20


class Timeline:
    """A clock that moves to the next moment that anybody waits for when all of `actors` wait."""

    def __init__(self, start: str) -> None:
        self.clock, self.actors = ManualClock(us(start)), 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        self._number += 1
        future = asyncio.get_running_loop().create_future()
        wait = round(seconds * SECOND) or int(seconds > 0)  # a wait too short for the clock must not come back for ever
        heappush(self._waiting, (self.clock.now() + wait, self._number, future))
        await future

    async def until(self, moment: str, look: Callable[[], None]) -> None:
        """Go on to a moment, with a look now and then."""
        end, looks = us(moment), 0
        while True:
            self._waiting = [one for one in self._waiting if not one[2].done()]
            look()
            if len(self._waiting) < self.actors:
                looks += 1
                await asyncio.sleep(0 if looks < PATIENT else 0.0005)  # threads work meanwhile
                continue
            looks = 0
            if self._waiting[0][0] > end:
                self.clock.move((end - self.clock.now()) / SECOND)
                return
            at, _, future = heappop(self._waiting)
            self.clock.move(max(0, at - self.clock.now()) / SECOND)
            future.set_result(None)
            await asyncio.sleep(0)
