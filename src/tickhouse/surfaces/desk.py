"""Where blocking questions to the house are asked: a few threads, a bounded queue, and a clear answer when it is full."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from tickhouse.core.errors import Busy

T = TypeVar("T")


class Desk:
    """Runs functions in at most `threads` worker threads, with at most `queue` more waiting."""

    def __init__(self, threads: int, queue: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self.threads, self.most = threads, threads + queue
        self.taken = 0

    async def do(self, function: Callable[..., T], *args: Any) -> T:
        """The function's answer. Raises `Busy` when too many are waiting already."""
        if self.taken >= self.most:
            raise Busy(f"{self.taken} questions are being answered or waiting; ask again in a moment", retry_after=1.0)
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.threads)
        self.taken += 1
        try:
            return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)
        finally:
            self.taken -= 1
