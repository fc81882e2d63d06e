"""A group over loopback: Binance falls away behind a gate, Finnhub tells of the same trades, Binance comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gate import Gate, gate

from tests.chaos.live import VALUES, FastClock, Up, World, span, true_bars
from tickhouse.core.clock import SECOND
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.exchange.market import Market
from tickhouse.exchange.run import running
from tickhouse.exchange.server import Exchange
from tickhouse.steps.read import Reader

GROUP = {"feeds": ["binance", "finnhub"], "switch_after": "10s", "return_after": "30s", "stale_after": "15s"}


@dataclass
class Grouped:
    """A house with a group, its exchange, and the gate to Binance."""

    world: World
    gate: Gate

    def using(self, up: Up, feed: str) -> bool:
        """Whether every symbol has this feed in use."""
        failover = up.local.failover
        return failover is not None and all(watch.active == feed for watch in failover.watches)

    def told(self, pipeline: Any) -> dict[tuple[str, int], dict[str, Any]]:
        """The bars that a reader is told of who names no source."""
        rows = Reader(pipeline).bars(Query(self.world.symbols, "5s")).to_pylist()
        keys = [(row["symbol"], round(row["start"].timestamp() * SECOND)) for row in rows]
        assert len(keys) == len(set(keys)), "one bar a window"
        return dict(zip(keys, rows, strict=True))


@contextmanager
def grouped(folder: Path) -> Iterator[Grouped]:
    clock = FastClock(10.0)
    exchange = Exchange(Market(3, 2, 100.0), clock)
    exchange.speak = ("finnhub",)
    with running(exchange), gate(exchange.port) as way:
        names = exchange.truth().symbols[:2]
        feeds = {
            "binance": {"symbols": names, "url": f"http://127.0.0.1:{way.port}", "ws_url": f"ws://127.0.0.1:{way.port}"},
            "finnhub": {"channel": "trade", "key": "simulated00simulated00simulated0",
                        "url": f"{exchange.url}/finnhub", "ws_url": f"{exchange.ws_url}/finnhub"},
        }  # fmt: skip
        settings = load(
            None, folder / "house", feeds=feeds, groups={"majors": {"symbols": names, **GROUP}},
            process__intervals=["5s"], process__lateness=1, process__grace=1, serve__port=0,
        )  # fmt: skip
        yield Grouped(World(exchange, settings, clock), way)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("fault", ["shut", "hush"], ids=["down", "open and mute"])
def test_the_other_feed_takes_over_and_no_volume_is_counted_twice(tmp_path: Path, fault: str) -> None:
    with grouped(tmp_path) as g:
        with g.world.up() as up:
            up.heard()
            g.world.wait(20)
            assert g.using(up, "binance")
            getattr(g.gate, fault)()
            up.until(lambda: g.using(up, "finnhub"), 20)
            g.world.wait(30)
            assert {row["source"] for row in Reader(up.pipeline).latest(g.world.symbols)} == {"finnhub"}
            g.gate.open()
            up.until(lambda: g.using(up, "binance"), 40)
            up.healed()
            g.world.wait(15)
        with g.world.stopped() as house:
            told, truth = g.told(house), true_bars(g.world.exchange, g.world.symbols, "5s")
            for symbol in g.world.symbols:
                first, last = span(told, symbol)
                for key in (key for key in truth if key[0] == symbol and first <= key[1] <= last):
                    wrong = {
                        name: (told[key][name], truth[key][name])
                        for name in VALUES
                        if told[key][name] != truth[key][name]
                    }
                    assert not wrong, (key, wrong, told[key]["source"])
            assert {row["to_source"] for row in house.warm.switches(Query()).to_pylist()} == {"binance", "finnhub"}
            both = [Reader(house).bars(Query(g.world.symbols, "5s", source)).num_rows for source in GROUP["feeds"]]
            assert min(both) > 4, "both sources have bars of their own, and can be asked for"


@pytest.mark.slow
@pytest.mark.alone
def test_what_a_feed_without_ids_missed_is_asked_of_its_history_when_it_is_good_again(tmp_path: Path) -> None:
    """Yahoo's socket is cut for three minutes; the bars of these minutes come from its chart, and count again."""
    clock = FastClock(15.0)
    exchange = Exchange(Market(3, 2, 100.0), clock)
    exchange.speak = ("yahoo", "coingecko")
    with running(exchange), gate(exchange.port) as way:
        near, far = f"127.0.0.1:{way.port}", f"127.0.0.1:{exchange.port}"
        feeds = {
            "yahoo": {"channel": "stream", "url": f"http://{near}/yahoo", "ws_url": f"ws://{near}/yahoo"},
            "coingecko": {"url": f"http://{far}/coingecko", "every": "5s", "per_minute": 0},
        }
        group = {"symbols": ["BTC-USD"], "feeds": ["yahoo", "coingecko"], "switch_after": "10s", "return_after": "30s",
                 "stale_after": "30s"}  # fmt: skip
        settings = load(
            None, tmp_path / "house", feeds=feeds, groups={"coins": group}, process__intervals=["1m"], serve__port=0
        )
        g = Grouped(World(exchange, settings, clock), way)
        with g.world.up() as up:
            up.heard()
            g.world.wait(130)
            cut = clock.now()
            g.gate.shut()
            up.until(lambda: g.using(up, "coingecko"), 20)
            g.world.wait(180)
            opened = clock.now()
            g.gate.open()
            up.until(lambda: g.using(up, "yahoo"), 60)
            g.world.wait(130)
        with g.world.stopped() as house:
            rows = Reader(house).bars(Query(("BTC-USD",), "1m")).to_pylist()
            starts = [round(row["start"].timestamp() * SECOND) for row in rows]
            assert len(starts) == len(set(starts)), "one bar a window"
            missed = [row for at, row in zip(starts, rows, strict=True) if cut < at and at + 60 * SECOND < opened]
            assert len(missed) >= 2 and {row["source"] for row in missed} == {"yahoo"}
            assert {row["completeness"] for row in missed} == {1.0}
