"""The exchange for the command line, for the demo and for tests: options in, a running server out."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tickhouse.core.clock import Clock, SystemClock
from tickhouse.core.errors import BadSetting, UnknownName
from tickhouse.exchange import Source
from tickhouse.exchange.dialects import NAMES
from tickhouse.exchange.faults import parse_all
from tickhouse.exchange.server import Exchange

PAST_SECONDS, PAST_TRADES = 600.0, 100_000
"""A market has this much behind it when it opens, whichever is less."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `tickhouse exchange` can be told.

    `rate` is trades a second over all symbols; `tape` a file instead of the market, played at `speed` (0: as fast as
    clients read), its times moved to now with `shift`; `fault` a text such as `duplicates=0.01,yahoo.server_errors=1`. Dialects
    are made when they are first asked for, which takes seconds; those that `speak` names (`all` of them) before it listens.
    """

    port: int = 9000
    rate: float = 200.0
    symbols: int = 300
    seed: int = 7
    tape: Path | str | None = None
    speed: float = 1.0
    shift: bool = False
    fault: str = ""
    host: str = "127.0.0.1"
    speak: str = ""

    @classmethod
    def of(cls, given: "Options | Mapping[str, Any]") -> "Options":
        """The options of a mapping by name. Raises `BadSetting` for one there is not."""
        if isinstance(given, Options):
            return given
        known = [one.name for one in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise BadSetting(f"exchange.{name}", value, f"one of the options {', '.join(known)}")
        return cls(**given)


def source_of(options: Options) -> Source:
    """The market or the tape that the options name."""
    if options.tape is not None:
        from tickhouse.exchange.tape import Tape

        return Tape(options.tape, options.speed, options.shift)
    from tickhouse.exchange.floor import Floor
    from tickhouse.exchange.market import Market

    if not 0 < options.rate <= 1_000_000:
        raise BadSetting("rate", options.rate, "trades a second, more than 0 and at most a million")
    if not 1 <= options.symbols <= 20_000:
        raise BadSetting("symbols", options.symbols, "1 to 20000")
    past = min(PAST_SECONDS, PAST_TRADES / options.rate)
    return Market(options.seed, options.symbols, options.rate, past, Floor(options.seed))


def open(given: "Options | Mapping[str, Any]", clock: Clock | None = None) -> Exchange:
    """An exchange that is not started yet. Raises `SettingsError` for options that cannot be."""
    options = Options.of(given)
    general, special = parse_all(options.fault, ("binance", *NAMES))
    made = Exchange(source_of(options), clock or SystemClock(), general, options.port, host=options.host)
    made.special.update(special)
    made.speak = spoken(options.speak)
    return made


def spoken(text: str) -> tuple[str, ...]:
    """The dialects that a text names. Raises `UnknownName`."""
    names = NAMES if text == "all" else tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in (*NAMES, "binance"):
            raise UnknownName("dialect", name, NAMES)
    return tuple(name for name in names if name in NAMES)


async def serve(
    given: "Options | Mapping[str, Any]", stop: asyncio.Event, listening: Callable[[Exchange], None]
) -> dict[str, Any]:
    """Serve until told to stop; `listening` is called once it listens. Returns the counts."""
    async with open(given) as exchange:
        listening(exchange)
        over = asyncio.create_task(exchange.over())
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({over, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            waiting.cancel()
            await asyncio.gather(over, waiting, return_exceptions=True)
        return exchange.counts()


def run(
    given: "Options | Mapping[str, Any]", seconds: float | None, listening: Callable[[Exchange], None]
) -> dict[str, Any]:
    """Serve in this process for a time, or until SIGINT or SIGTERM. Returns the counts."""

    async def here() -> dict[str, Any]:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        return await serve(given, stop, listening)

    return asyncio.run(here())


@contextmanager
def running(exchange: Exchange) -> Iterator[Exchange]:
    """Run an exchange in a thread of its own while the block lasts, for callers that have no event loop."""
    ready, errors = threading.Event(), list[BaseException]()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def here() -> None:
        async with exchange:
            ready.set()
            await stop.wait()

    def thread() -> None:
        try:
            loop.run_until_complete(here())
        except BaseException as error:
            errors.append(error)
        finally:
            loop.close()
            ready.set()

    worker = threading.Thread(target=thread, name="exchange", daemon=True)
    worker.start()
    ready.wait()
    try:
        if not errors:
            yield exchange
    finally:
        if worker.is_alive():
            loop.call_soon_threadsafe(stop.set)
        worker.join(10)
        if errors:
            raise errors[0]
