"""A pipeline on a simulated exchange in this process, with a clock that runs fast, compared with what the exchange made."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tickhouse.core.clock import SECOND, Clock, SystemClock
from tickhouse.core.model import Query, interval_us
from tickhouse.core.settings import Settings, load
from tickhouse.exchange.faults import Faults
from tickhouse.exchange.market import Market
from tickhouse.exchange.run import running
from tickhouse.exchange.server import Exchange
from tickhouse.pipeline import Pipeline
from tickhouse.process.engines.embedded import Embedded
from tickhouse.steps.ledger import ledger
from tickhouse.targets.local import ROLES, Local

Bars = dict[tuple[str, int], dict[str, float]]
VALUES = ("open", "high", "low", "close", "volume", "vwap", "trades")


class FastClock:
    """A clock that runs `speed` times as fast as the machine's, perhaps some seconds `ahead` of it."""

    def __init__(self, speed: float = 1.0, ahead: float = 0.0) -> None:
        self._clock, self._speed, self._ahead = SystemClock(), speed, ahead
        self._began, self._at = self._clock.now(), self._clock.monotonic()

    def now(self) -> int:
        return self._began + round((self.monotonic() - self._at * self._speed + self._ahead) * SECOND)

    def monotonic(self) -> float:
        return self._clock.monotonic() * self._speed


@dataclass
class World:
    """An exchange, the settings of a house that listens to it, and the clock of both."""

    exchange: Exchange
    settings: Settings
    clock: Clock
    house_clock: Clock | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.settings.feeds["binance"].symbols

    @contextmanager
    def up(self, roles: tuple[str, ...] = ROLES) -> Iterator["Up"]:
        """Run the pipeline while the block lasts, and end it cleanly."""
        up = Up(Pipeline(self.settings, self.house_clock or self.clock), roles)
        try:
            up.start()
            yield up
        finally:
            up.end()
            up.pipeline.close()

    def wait(self, seconds: float) -> None:
        """Wait for seconds of the exchange's clock."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            time.sleep(0.01)

    @contextmanager
    def stopped(self) -> Iterator[Pipeline]:
        """The house at rest."""
        pipeline = Pipeline(self.settings, self.clock)
        try:
            yield pipeline
        finally:
            pipeline.close()


@dataclass
class Up:
    """A pipeline that runs in a thread of its own."""

    pipeline: Pipeline
    roles: tuple[str, ...]
    failure: BaseException | None = None
    local: Local = field(init=False)

    def start(self) -> None:
        self.local = Local(self.pipeline, self.roles)
        self._thread = threading.Thread(target=self._run, name="up")
        self._thread.start()
        assert self.local.ready.wait(20) or self.failure, "it did not start"

    def _run(self) -> None:
        try:
            asyncio.run(self.local.run())
        except BaseException as error:
            self.failure = error

    def end(self) -> None:
        self.local.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure:
            raise self.failure

    @property
    def engine(self) -> Embedded:
        """The engine at work (only to be looked at)."""
        return self.local.process.engine  # type: ignore[union-attr,return-value]

    def until(self, done: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is so; seconds of the machine's clock."""
        limit = time.monotonic() + seconds
        while not done():
            assert self.failure is None, self.failure
            assert time.monotonic() < limit, f"not so after {seconds} s"
            time.sleep(0.02)

    def heard(self, seconds: float = 30.0) -> None:
        """Wait until ticks have been processed."""
        self.until(lambda: self.local.process is not None and self.engine.position > 50, seconds)

    def stands_still(self, seconds: float) -> bool:
        """Whether the journal does not grow for so many seconds of the machine's clock."""
        end = self.pipeline.journal.end()
        time.sleep(seconds)
        return bool(self.pipeline.journal.end() == end)

    def connected(self) -> bool:
        """Whether every line is connected."""
        return all(line.state == "connected" for line in self.pipeline.transport.health.values())

    def healed(self, seconds: float = 30.0) -> None:
        """Wait until no hole is open."""
        self.until(lambda: self.local.process is not None, seconds)
        self.until(
            lambda: not self.engine.open_holes() and self.local.refill is not None and not self.local.refill.open,
            seconds,
        )


@contextmanager
def world(
    folder: Path,
    faults: Faults = Faults(),  # noqa: B008
    rate: float = 100.0,
    symbols: int = 4,
    clock: Clock | None = None,
    house_clock: Clock | None = None,
    **settings: Any,
) -> Iterator[World]:
    """An exchange with a seeded market, serving; a house for it in the folder, with short bars unless told otherwise."""
    clock = clock or FastClock(10.0)
    exchange = Exchange(Market(3, max(symbols, 2), rate), clock, faults)
    with running(exchange):
        names = exchange.truth().symbols[:symbols]
        feed = {"symbols": names, "url": exchange.url, "ws_url": exchange.ws_url}
        given = {
            "process__intervals": ["5s", "15s"], "process__lateness": 1, "process__grace": 1, "serve__port": 0,
            "process__checkpoint_every": 5,
        } | settings  # fmt: skip
        yield World(exchange, load(None, folder / "house", feeds={"binance": feed}, **given), clock, house_clock)


def true_bars(exchange: Exchange, symbols: tuple[str, ...], interval: str) -> Bars:
    """The bars of the trades that the exchange made, by (symbol, start in us)."""
    truth, length, bars = exchange.truth(), interval_us(interval), {}
    for symbol in symbols:
        one = truth.of(symbol)
        order = np.lexsort((one.id, one.time))
        time_, price, size = one.time[order], one.price[order], one.quantity[order]
        start = time_ - time_ % length
        for begin in np.unique(start).tolist():
            here = start == begin
            p, s = price[here].tolist(), size[here].tolist()
            volume = math.fsum(s)
            vwap = math.fsum(a * b for a, b in zip(p, s, strict=True)) / volume
            bars[symbol, begin] = {
                "open": p[0], "high": max(p), "low": min(p), "close": p[-1], "volume": volume, "vwap": vwap, "trades": len(p),
            }  # fmt: skip
    return bars


def house_bars(pipeline: Pipeline, symbols: tuple[str, ...], interval: str) -> Bars:
    """The newest version of every stored bar, likewise."""
    rows = pipeline.warm.bars(Query(symbols, interval)).to_pylist()
    return {(row["symbol"], round(row["start"].timestamp() * SECOND)): row for row in rows}


def span(bars: Bars, symbol: str) -> tuple[int, int]:
    """The first whole bar of a symbol (the first one may be cut) and the last but two: corrections of those may be on their way."""
    starts = sorted(start for name, start in bars if name == symbol)
    assert len(starts) > 4, f"only {len(starts)} bars of {symbol}"
    return starts[1], starts[-3]


def assert_true(world: World, pipeline: Pipeline, intervals: tuple[str, ...] = ("5s",), complete: bool = True) -> int:
    """Every bar of every symbol from the first whole one to the last is what the exchange made, no more, no less; how many."""
    compared = 0
    for interval in intervals:
        truth = true_bars(world.exchange, world.symbols, interval)
        got = house_bars(pipeline, world.symbols, interval)
        for symbol in world.symbols:
            first, last = span(got, symbol)
            wanted = {key: bar for key, bar in truth.items() if key[0] == symbol and first <= key[1] <= last}
            found = {key: bar for key, bar in got.items() if key[0] == symbol and first <= key[1] <= last}
            assert set(found) == set(wanted), f"{symbol} {interval}: bars at other times than the exchange has"
            for key, bar in wanted.items():
                wrong = {name: (found[key][name], bar[name]) for name in VALUES if found[key][name] != bar[name]}
                assert not wrong, f"{key} of {first} to {last}: {wrong} in {found[key]}"
                if complete:
                    assert found[key]["completeness"] == 1.0, (key, found[key])
            compared += len(wanted)
    return compared


def assert_balanced(pipeline: Pipeline) -> dict[str, int]:
    """The ledger balances and nothing waits; returns it."""
    row = ledger(pipeline.journal, pipeline.warm)["binance"]
    assert row["received"] == row["parsed"] + row["control"] + row["rejected"], row
    assert row["rows"] == row["accepted"] + row["duplicate"] + row["late"] + row["invalid"], row
    assert row["pending"] == 0 and row["balanced"], row
    return row


def held_ids(pipeline: Pipeline, symbol: str) -> list[int]:
    """Every trade id in the house, in order, as often as it was taken (repeats included)."""
    batches = pipeline.past.ticks("binance", symbol, 0, 1 << 62)
    return sorted(id_ for batch in batches for id_ in batch.last_id.tolist())
