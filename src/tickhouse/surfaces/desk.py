"""Where blocking questions to the house are asked: a few threads, a bounded queue, and a clear answer when it is full or nobody
answers."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread

from tickhouse.core.errors import Busy

T = TypeVar("T")
LONGEST = 15.0
AGAIN = 5.0
"""Seconds after which a house that has not answered may be asked again."""


class Desk:
    """Runs functions in at most `threads` worker threads, with at most `queue` more waiting, none of them for more than `longest`
    seconds.

    A store that hangs cannot be interrupted: its question keeps its thread until there is an answer, which nobody waits for.
    """

    def __init__(self, threads: int, queue: int, longest: float = LONGEST) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self.threads, self.most, self.longest = threads, threads + queue, longest
        self.taken = 0

    async def do(self, function: Callable[..., T], *args: Any) -> T:
        """The function's answer. Raises `Busy` when too many are waiting already, or there is no answer in time."""
        if self.taken >= self.most:
            raise Busy(f"{self.taken} questions are being answered or waiting; ask again in a moment", retry_after=1.0)
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.threads)
        self.taken += 1
        question = _Question(partial(function, *args))
        asked = asyncio.create_task(self._ask(self._limiter, question))
        asked.add_done_callback(_seen)
        try:
            await asyncio.wait([asked], timeout=self.longest)
            if asked.done():
                return asked.result()
        finally:
            if not question.begun:
                asked.cancel()
        what = f"there was no answer within {self.longest:g} s: a store hangs, or is very busy"
        raise Busy(f"{what}; ask again in a moment", retry_after=AGAIN)

    async def _ask(self, limiter: anyio.CapacityLimiter, question: "_Question[T]") -> T:
        try:
            return await anyio.to_thread.run_sync(question, limiter=limiter)
        finally:
            self.taken -= 1


class _Question(Generic[T]):
    """A question that knows whether it has got a thread."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask, self.begun = ask, False

    def __call__(self) -> T:
        self.begun = True
        return self._ask()


def _seen(asked: "asyncio.Task[Any]") -> None:
    """What an answer is that nobody waits for any more is of no interest."""
    if not asked.cancelled():
        asked.exception()
