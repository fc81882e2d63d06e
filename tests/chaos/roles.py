"""A house on the four real servers whose roles are processes of their own, on an exchange in this process; what it holds is
compared with what the exchange made."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import kafka
from tests.chaos.live import World, assert_balanced, assert_true, world
from tests.lake.buckets import own
from tests.steps.filled import facts, processed
from tests.stores import databases
from tests.stores.keys import named
from tickhouse.core.clock import SystemClock
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps.notes import inherit
from tickhouse.steps.replay import Replay

ROLES = ("ingest", "process", "archive", "serve")
INTERVAL = "2s"


@dataclass
class Role:
    """One process of the house, begun again and again; all that it ever said is in one file."""

    name: str
    command: list[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    begun: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            log.write(f"--- {self.name} {self.begun}\n".encode())
            log.flush()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        self.begun += 1

    def kill(self) -> None:
        self._running().kill()
        assert self._running().wait() == -signal.SIGKILL, self.said

    def end(self, seconds: float = 40.0) -> float:
        """Ask it to end, and wait; returns how long that took."""
        began = time.monotonic()
        self._running().terminate()
        assert self._running().wait(seconds) == 0, self.said
        return time.monotonic() - began

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self.process is not None
        assert self.process.returncode in (None, -signal.SIGKILL, 0), self.said
        return self.process

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def lines(self) -> list[str]:
        """What it said, without the lines that this module wrote."""
        return [line for line in self.said.splitlines() if line and not line.startswith("--- ")]


@dataclass
class Roles:
    """The house and its processes."""

    world: World
    folder: Path
    roles: dict[str, Role] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "tickhouse.toml"

    def start(self, *names: str) -> None:
        for name in names:
            if name not in self.roles:
                words = [sys.executable, "-m", "tickhouse", "run", name, "--config", str(self.config)]
                self.roles[name] = Role(name, words, self.folder / f"{name}.log")
            self.roles[name].start()

    def __getitem__(self, name: str) -> Role:
        return self.roles[name]

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 60.0, every: float = 0.3) -> None:
        """Wait until something is so, while every role lives."""
        end = time.monotonic() + seconds
        while not condition():
            for role in self.roles.values():
                assert role.alive(), f"{role.name} ended: {role.said[-3000:]}"
            assert time.monotonic() < end, what
            time.sleep(every)

    def stored(self, house: Pipeline) -> int:
        return house.warm.position("process") or 0

    def grown(self, messages: int, seconds: float = 90.0) -> None:
        """Wait until so many more messages are journaled, processed and their results stored."""
        with self.world.stopped() as house:
            begun = self.stored(house)
            self.until(lambda: self.stored(house) >= begun + messages, "nothing is processed", seconds)

    def whole(self, seconds: float = 90.0) -> None:
        """Wait until the bars are what the exchange made."""
        last: list[AssertionError] = []

        def true(house: Pipeline) -> bool:
            try:
                return assert_true(self.world, house, (INTERVAL,)) > 0
            except AssertionError as error:
                last[:] = [error]
                return False

        with self.world.stopped() as house:
            try:
                self.until(lambda: true(house), "the bars do not become whole", seconds, 3.0)
            except AssertionError as error:
                raise AssertionError(f"{error}: {last}") from None

    def quiet(self) -> dict[str, float]:
        """End all, the intake first, so that the others take in the rest; how long each took."""
        return {name: self.roles[name].end() for name in ROLES if name in self.roles}

    def assert_right(self) -> dict[str, int]:
        """Nothing is lost and nothing there twice, in any place; how much there is of what."""
        with self.world.stopped() as house:
            row = assert_balanced(house)
            bars = assert_true(self.world, house, (INTERVAL,))
            held = ticks(house)
            for symbol in self.world.symbols:
                ids = set(held[symbol])
                assert len(ids) == max(ids) - min(ids) + 1, f"a trade of {symbol} is missing"
            assert row["accepted"] + row["late"] == sum(len(set(ids)) for ids in held.values()), row
            assert house.journal.verify().faults == () == house.lake.verify()[1] == house.warm.verify()[1]
            messages = assert_archived(house)
            assert_newest(house, held)
            self.assert_replayed(house)
            return {
                "bars": bars,
                "messages": messages,
                "trades": row["accepted"],
                "repeats": row["duplicate"],
                "late": row["late"],
            }

    def assert_replayed(self, house: Pipeline) -> None:
        """What the journal makes of its messages in another house is what is stored, in every version."""
        config = self.folder / "again.toml"
        config.write_text(settings_text(self.world, {}).replace('"house"', '"again"'))
        with closing(Pipeline(load(config))) as again:
            inherit(house.settings.data, again.settings.data)
            Replay(house.past).run(again.ingest(past=house.past))
            processed(again)
            wanted, found = facts(house), facts(again)
        for what, rows in wanted.items():
            assert found[what] == rows, what


def assert_archived(house: Pipeline) -> int:
    """Every message of the journal is in the lake once, at its position; how many there are."""
    begin, position, journaled = house.journal.begin(), house.journal.begin(), {}
    while records := house.journal.read("raw", position):
        for record in records:
            assert record.raw is not None
            journaled |= {record.first + n: payload for n, payload in enumerate(record.raw.payloads())}
        position = records[-1].end
    assert sorted(journaled) == list(range(begin, house.journal.end())), "positions of the journal are not dense"
    archived: Counter[int] = Counter()
    for item in house.lake.objects("bronze"):
        for batch in house.lake.read(item):
            for n, payload in enumerate(batch.payloads()):
                archived[batch.first + n] += 1
                assert journaled.get(batch.first + n, payload) == payload
    assert set(archived) == set(range(house.journal.end())), "a message is not archived"
    assert set(archived.values()) == {1}, "a message is archived twice"
    return len(archived)


def ticks(house: Pipeline) -> dict[str, dict[int, tuple[int, float]]]:
    """Time and price of every trade in the journal, by symbol and id."""
    found: dict[str, dict[int, tuple[int, float]]] = {}
    position = house.journal.begin()
    while records := house.journal.read("ticks", position):
        for batch in (record.ticks for record in records if record.ticks is not None):
            columns = (batch.symbol, batch.last_id, batch.event_time, batch.price)
            for code, id_, at, price in zip(*(column.tolist() for column in columns), strict=True):
                found.setdefault(batch.symbols[code], {})[id_] = at, price
        position = records[-1].end
    return found


def assert_newest(house: Pipeline, held: dict[str, dict[int, tuple[int, float]]]) -> None:
    """The hot store has the newest price of each symbol."""
    with closing(open_url("stores", house.settings.hot_url)) as hot:
        shown = {row["symbol"]: (row["event_time"], row["price"]) for row in hot.latest()}
    assert shown == {symbol: trades[max(trades)] for symbol, trades in held.items()}


def settings_text(w: World, urls: dict[str, str], port: int = 0) -> str:
    feed = w.settings.feeds["binance"]
    rules = {"lake": "roll_after = 3\n"}
    sections = [f'[{part}]\nurl = "{url}"\n{rules.get(part, "")}' for part, url in urls.items()]
    return f"""data = "house"
[feeds.binance]
symbols = {json.dumps(list(feed.symbols))}
url = "{feed.url}"
ws_url = "{feed.ws_url}"
[process]
intervals = ["{INTERVAL}"]
lateness = 1
grace = 1
checkpoint_every = 2
[serve]
port = {port}
{"".join(sections)}"""


@contextmanager
def roles(folder: Path, urls: dict[str, str], rate: float, symbols: int = 4, port: int = 0) -> Iterator[Roles]:
    """A house in the places of `urls`, on an exchange that makes so many trades a second; its processes end with the block."""
    given = {f"{part}__url": url for part, url in urls.items()}
    process = {"process__intervals": [INTERVAL], "process__checkpoint_every": 2}
    with world(folder, rate=rate, symbols=symbols, clock=SystemClock(), **process, **given) as w:
        (folder / "tickhouse.toml").write_text(settings_text(w, urls, port))
        made = Roles(w, folder)
        try:
            yield made
        finally:
            for role in made.roles.values():
                if role.alive():
                    role.process.kill()  # type: ignore[union-attr]
                    role.process.wait()  # type: ignore[union-attr]


@contextmanager
def places(kafka_url: str, redis_url: str, s3: Any) -> Iterator[dict[str, str]]:
    """Places of one's own on all four shared servers."""
    with ExitStack() as servers:
        yield {
            "journal": servers.enter_context(kafka.prefix(kafka_url)), "lake": servers.enter_context(own(s3))("house"),
            "warm": servers.enter_context(databases.empty()), "hot": named(redis_url),
        }  # fmt: skip
