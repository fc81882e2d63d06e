"""Backfills: what is lacking is asked for and nothing else, inside the quota, and once."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tools.simulated.site import response, site
from tools.simulated.timeline import us

from tests.feeds.yahoo_messages import chart
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import BadSetting, RateLimited
from tickhouse.core.model import Query, Want, interval_us
from tickhouse.core.requests import Cost, Pace
from tickhouse.core.retry import Retry
from tickhouse.core.settings import load
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.feeds import binance, fred, yahoo
from tickhouse.pipeline import Pipeline
from tickhouse.steps.backfill import FOREVER, Backfill, Done, Piece, Task, failed, outlook

NOW = us("2026-03-10T12:00")
Ask = dict[str, str]


@dataclass
class Past:
    """A house, a provider of its past, and what was asked of it."""

    folder: Path
    name: str
    url: str
    asked: list[Ask]
    section: dict[str, Any]

    async def fetch(self, task: Task, now: int = NOW) -> tuple[list[Piece], Done]:
        """Plan and run in a process of its own, and have all of it stored."""
        pipeline, work = self.opened(task, now)
        try:
            pieces = work.plan()
            await work.run(pieces)
        finally:
            pipeline.process().catch_up()
            await pipeline.transport.close()
            pipeline.close()
        return pieces, work.done

    def opened(self, task: Task, now: int = NOW) -> tuple[Pipeline, Backfill]:
        settings = load(None, self.folder, feeds={self.name: {"url": self.url, **self.section}})
        pipeline = Pipeline(settings, clock := ManualClock(now))

        async def sleep(seconds: float) -> None:
            clock.move(seconds)

        options = TransportOptions(retry=Retry(attempts=2))
        pipeline.transport = Transport(clock, self.folder, options, sleep=sleep)  # type: ignore[misc]
        feed, section = pipeline.feeds[self.name], settings.feeds[self.name]
        return pipeline, Backfill((feed, section.paced(feed.pace)), task, pipeline)

    def read(self, ask: Callable[[Pipeline], Any]) -> Any:
        pipeline, _ = self.opened(Task((), "", "", (0, 1)))
        try:
            return ask(pipeline)
        finally:
            pipeline.close()

    def starts(self, symbol: str, interval: str) -> list[int]:
        """The bars that are stored."""
        table = self.read(lambda pipeline: pipeline.warm.bars(Query((symbol,), interval)))
        return table["start"].cast("int64").to_pylist()


@asynccontextmanager
async def past(folder: Path, name: str, reply: Callable[[Ask], Any], **section: Any) -> AsyncIterator[Past]:
    """A provider that answers each question with `reply`."""
    asked: list[Ask] = []

    def script(_: int, head: str) -> bytes:
        parts = urlsplit(head.split()[1])
        ask = {"path": parts.path, **{key: values[0] for key, values in parse_qs(parts.query).items()}}
        asked.append(ask)
        said = reply(ask)
        return said if isinstance(said, bytes) else response(200, json.dumps(said).encode())

    async with site(script) as here:
        yield Past(folder, name, here.url, asked, section)


def klines(ask: Ask) -> Any:
    """Binance's pages, every bar there ever was."""
    step = interval_us(ask["interval"]) // 1000
    first, last, most = int(ask["startTime"]), int(ask["endTime"]), int(ask["limit"])
    opens = range(-(-first // step) * step, last + 1, step)[:most]
    return [[at, "1", "2", "0.5", "1.5", "10", at + step - 1, "15", 7, "5", "7", "0"] for at in opens]


def days(ask: Ask) -> Any:
    """FMP's days: those of the working week."""
    first, last = date.fromisoformat(ask["from"]), date.fromisoformat(ask["to"])
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [
        {"symbol": ask["symbol"], "date": str(day), "open": 1, "high": 2, "low": 0.5, "close": 1.5, "volume": 100}
        for day in reversed(every) if day.weekday() < 5
    ]  # fmt: skip


def task(channel: str, interval: str, begin: str, end: str, *symbols: str) -> Task:
    return Task(symbols, channel, interval, (us(begin), us(end)))


async def test_only_what_is_lacking_is_asked_for(tmp_path: Path) -> None:
    async with past(tmp_path, "binance", klines) as house:
        first = task("kline", "1m", "2026-03-01T10:00", "2026-03-01T12:00", "BTC-USDT")
        pieces, done = await house.fetch(first)
        assert [piece.span for piece in pieces] == [first.span] and done.calls == 1
        wider = replace(first, span=(us("2026-03-01T00:00"), us("2026-03-01T20:00")))
        pieces, done = await house.fetch(wider)
        assert [piece.span for piece in pieces] == [(wider.span[0], first.span[0]), (first.span[1], wider.span[1])]
        assert len(house.starts("BTC-USDT", "1m")) == 20 * 60
        assert await house.fetch(wider) == ([], Done())
        assert len(house.asked) == 3
        again, _ = await house.fetch(replace(first, again=True))
        assert [piece.span for piece in again] == [first.span]
        versions = house.read(lambda p: p.warm.bars(Query(("BTC-USDT",), "1m", versions=True))).num_rows
        assert versions == 20 * 60, "the same bar once more is nothing new"


async def test_a_range_of_many_pages_costs_what_was_foretold(tmp_path: Path) -> None:
    async with past(tmp_path, "binance", klines) as house:
        wanted = task("kline", "1m", "2026-03-01T00:00", "2026-03-04T00:00", "BTC-USDT", "ETH-USDT")
        pieces, done = await house.fetch(wanted)
        assert sum((piece.cost for piece in pieces), Cost(0, 0)) == (10, 20)
        assert done.calls == 10 and done.answers == {"BTC-USDT": 5, "ETH-USDT": 5}
        assert len(house.starts("ETH-USDT", "1m")) == 3 * 24 * 60


async def test_what_a_provider_does_not_have_is_asked_for_once(tmp_path: Path) -> None:
    """A share was not traded in a week in which its market was open: that is known after the first answer."""
    gone = us("2026-02-02T00:00") // 1_000_000, us("2026-02-07T00:00") // 1_000_000

    def halted(ask: Ask) -> Any:
        return [row for row in days(ask) if not gone[0] <= stamp(row["date"]) < gone[1]]

    async with past(tmp_path, "fmp", halted, key="k") as house:
        wanted = task("historical", "1d", "2026-01-05T00:00", "2026-03-01T00:00", "AAPL")
        await house.fetch(wanted)
        assert len(house.starts("AAPL", "1d")) == 35
        pieces, _ = await house.fetch(wanted)
        assert pieces == [] and len(house.asked) == 1
        longer, _ = await house.fetch(replace(wanted, span=(wanted.span[0], us("2026-03-10T00:00"))))
        assert [piece.span[0] for piece in longer] == [wanted.span[1]], "only the days since"


def stamp(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


async def test_the_days_quota_ends_it_with_all_that_came_kept_and_it_goes_on_the_next_day(tmp_path: Path) -> None:
    symbols = [f"A{n:02}" for n in range(8)]
    async with past(tmp_path, "fmp", days, key="k", per_day=3) as house:
        wanted = task("historical", "1d", "2026-03-02T00:00", "2026-03-07T00:00", *symbols)
        for day, come in ((0, 3), (1, 6), (2, 8)):
            now = NOW + day * 86_400_000_000
            if come < len(symbols):
                with pytest.raises(RateLimited, match="the quota of fmp is spent"):
                    await house.fetch(wanted, now)
            else:
                await house.fetch(wanted, now)
            assert [len(house.starts(symbol, "1d")) for symbol in symbols] == [5] * come + [0] * (8 - come)
        assert sorted(ask["symbol"] for ask in house.asked) == symbols, "none twice"


async def test_years_of_days_are_one_call_a_symbol_with_splits_and_dividends(tmp_path: Path) -> None:
    def reply(ask: Ask) -> Any:
        first, last = int(ask["period1"]), int(ask["period2"])
        morning = range(-(-(first - 52_200) // 86_400) * 86_400 + 52_200, last, 86_400)
        split = {"1598880600": {"date": 1_598_880_600, "numerator": 4.0, "denominator": 1.0, "splitRatio": "4:1"}}
        traded = [at for at in morning if datetime.fromtimestamp(at, UTC).weekday() < 5]
        return chart(traded, symbol=ask["path"].rpartition("/")[2], events={"splits": split})

    async with past(tmp_path, "yahoo", reply) as house:
        wanted = Task(("AAPL", "MSFT"), "chart", "1d", (us("2020-01-01T00:00"), us("2026-03-01T00:00")))
        pieces, done = await house.fetch(wanted)
        assert done.calls == sum(piece.cost.calls for piece in pieces) == 2
        assert len(house.starts("MSFT", "1d")) > 1500
        actions = house.read(lambda p: p.warm.actions(Query(("AAPL",))))
        assert actions["value"].to_pylist() == [4.0]
        longer, _ = await house.fetch(replace(wanted, span=(wanted.span[0], us("2026-03-10T00:00"))))
        assert [piece.span[0] for piece in longer] == [wanted.span[1]] * 2, "only the days since"


async def test_an_unknown_symbol_is_told_and_the_others_are_fetched(tmp_path: Path) -> None:
    async with past(tmp_path, "fmp", lambda ask: [] if ask["symbol"] == "NOPE" else days(ask), key="k") as house:
        wanted = task("historical", "1d", "2026-03-02T00:00", "2026-03-07T00:00", "NOPE", "AAPL")
        _, done = await house.fetch(wanted)
        assert failed(done) == ["NOPE"] and done.answers == {"AAPL": 1}


def observations(ask: Ask) -> Any:
    """FRED: a series of two quarters, the second one revised."""
    if ask["path"].endswith("vintagedates"):
        return {"count": 3, "offset": 0, "limit": 10_000, "vintage_dates": ["2025-07-30", "2025-10-30", "2025-12-23"]}
    rows = [
        ("2025-04-01", "100.0", "2025-07-30"),
        ("2025-07-01", "101.0", "2025-10-30"),
        ("2025-07-01", "101.5", "2025-12-23"),
    ]
    return {
        "units": "lin", "count": 3, "offset": 0, "limit": 100_000,
        "observations": [
            {"realtime_start": vintage, "realtime_end": "9999-12-31", "date": day, "value": value} for day, value, vintage in rows
        ],
    }  # fmt: skip


async def test_of_economic_series_every_vintage_comes_and_they_are_asked_again_on_another_day(tmp_path: Path) -> None:
    async with past(tmp_path, "fred", observations, key="k" * 32) as house:
        wanted = Task(("GDP",), "observations", "", FOREVER)
        pieces, done = await house.fetch(wanted)
        assert [piece.cost for piece in pieces] == [(2, 2)] and done.calls == 2
        assert "observation_start" not in house.asked[1]
        table = house.read(lambda p: p.warm.observations(Query(("GDP",), versions=True)))
        assert table["value"].to_pylist() == [100.0, 101.0, 101.5]
        then = house.read(lambda p: p.warm.observations(Query(("GDP",), as_of=us("2025-11-01T00:00"))))
        assert then["value"].to_pylist() == [100.0, 101.0]
        assert (await house.fetch(wanted))[0] == []
        assert len((await house.fetch(wanted, NOW + 86_400_000_000))[0]) == 1
        assert house.read(lambda p: p.warm.observations(Query(("GDP",), versions=True))).num_rows == 3


async def test_rates_of_the_past_become_ticks_in_a_time_of_their_own(tmp_path: Path) -> None:
    def rates(ask: Ask) -> Any:
        first, last = date.fromisoformat(ask["from"]), date.fromisoformat(ask["to"])
        every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [{"date": str(day), "base": ask["base"], "quote": ask["quotes"], "rate": 1.1} for day in every]

    async with past(tmp_path, "frankfurter", rates) as house:
        wanted = task("rates", "", "2026-02-01T00:00", "2026-03-01T00:00", "EUR-USD", "GBP-USD")
        _, done = await house.fetch(wanted)
        assert done.calls == 2
        assert len(house.starts("EUR-USD", "1m")) == len(house.starts("GBP-USD", "1m")) == 28
        ledger = house.read(lambda p: dict(p.warm.ledger()))
        assert ledger["frankfurter", "accepted"] == 56 and ledger["frankfurter", "late"] == 0
        assert (await house.fetch(wanted))[0] == []


@pytest.mark.parametrize(
    ("channel", "interval", "problem"),
    [(None, "7m", "--interval"), ("trades", "1m", "--channel"), ("kline", "2d", "--interval"), ("kline:2d", "1m", "--interval")],
)  # fmt: skip
def test_what_a_provider_does_not_have_is_said_at_once(channel: str | None, interval: str, problem: str) -> None:
    with pytest.raises(BadSetting) as bad:
        Task.of(binance.open(), ["BTC-USDT"], channel, interval, (0, 1))
    assert bad.value.key == problem


def test_the_channel_of_bars_is_found_by_their_length() -> None:
    assert Task.of(yahoo.open(), ["AAPL", "AAPL"], None, "1d", (0, 1)) == Task(("AAPL",), "chart", "1d", (0, 1))
    assert Task.of(binance.open(), ["BTC-USDT"], "kline:5m", "1d", (0, 1)).interval == "5m"
    assert Task.of(binance.open(), ["BTC-USDT"], "aggTrades", "1d", (0, 1)).interval == ""
    assert Task.of(fred.open(), ["GDP"], None, "1d", (0, 1)).channel == "observations"


def test_how_long_it_takes_follows_from_the_pace() -> None:
    assert outlook(Cost(100, 100), Pace(per_minute=30), {"minute": 10}) == (180.0, 0)
    assert outlook(Cost(100, 100), Pace(per_second=2, per_day=25), {"day": 10}) == (50.0, 4)
    assert outlook(Cost(1, 1), Pace(), {}) == (0.0, 0)
    assert yahoo.open().cost(Want(("A", "B"), "chart", 0, 100 * 86_400_000_000, {"interval": "1d"})).calls == 2
