"""What a feed without ids was blind for comes from its history when it is heard again: all of it, once, within the quota."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tools.simulated.scene import Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.polling import finnhub, quote
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import Unreachable
from tickhouse.core.model import Query
from tickhouse.steps.regain import Regain

DOWN = us("2026-03-06T15:10:30"), us("2026-03-06T15:20:30")
MINUTE = 60 * SECOND


def reply(path: str, now: int) -> Any:
    """Prices, but for ten minutes, and candles at any time."""
    if "/candle" in path:
        at = [(DOWN[0] - DOWN[0] % MINUTE) // SECOND + 60 * i for i in range(-20, 40)]
        at = [moment for moment in at if moment < now // SECOND]
        return {"s": "ok", "t": at, **{name: [50.0 + i for i in range(len(at))] for name in "ohlcv"}}
    return response(500, b"{}") if DOWN[0] <= now < DOWN[1] else quote(100 + now // SECOND % 50, now)


def regain(scene: Scene) -> Regain:
    pipeline = scene.pipeline
    return Regain({n: (f, pipeline.settings.feeds[n].paced(f.pace)) for n, f in pipeline.feeds.items()}, pipeline)


def broken_off(folder: Path) -> Scene:
    return Scene(folder, Timeline("2026-03-06T15:00"), finnhub(reply, "AAPL"))


def bars(scene: Scene) -> dict[str, float]:
    """How complete the newest version of each minute is."""
    rows = scene.processed().pipeline.warm.bars(Query(("AAPL",), "1m")).to_pylist()
    return {f"{row['start']:%H:%M}": row["completeness"] for row in rows}


async def test_the_bars_of_a_blind_stretch_and_those_at_its_edges_are_asked_for_once(tmp_path: Path) -> None:
    scene = broken_off(tmp_path)
    async with scene.running():
        await scene.until("2026-03-06T15:30")
        before, missed = bars(scene), [f"15:{minute}" for minute in range(10, 21)]
        assert any(before.get(minute, 0.0) < 1.0 for minute in missed)
        work = regain(scene)
        await work.look("finnhub")
        after = bars(scene)
        assert all(after[minute] == 1.0 for minute in missed)
        kept = [minute for minute, complete in before.items() if complete == 1.0 and minute not in missed]
        assert kept and all(after[minute] == 1.0 for minute in kept)
        await work.look("finnhub")
        candles = [path for _, path in scene.providers[0].asked if "/candle" in path]
        assert len(candles) == 1, "and no more is asked for than was missed"


class Away:
    """A journal or a store whose server does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise Unreachable("it does not answer")


@pytest.mark.parametrize("part", ["journal", "warm"])
async def test_a_server_that_is_away_does_not_end_the_looking(tmp_path: Path, part: str) -> None:
    scene = broken_off(tmp_path)
    async with scene.running():
        work, there = regain(scene), getattr(scene.pipeline, part)
        setattr(scene.pipeline, part, Away())
        work._due["finnhub"] = [0.0]
        looking = asyncio.create_task(work.run())
        await asyncio.sleep(0.5)
        assert not looking.done()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert bool(scene.said("not to be had now")) is (part == "warm"), "said of the store, which was asked"
        setattr(scene.pipeline, part, there)


async def test_what_is_left_of_a_small_quota_is_not_spent_on_the_past(tmp_path: Path) -> None:
    scene = broken_off(tmp_path)
    async with scene.running():
        await scene.until("2026-03-06T15:30")
        bars(scene)
        feed, pace = scene.pipeline.feeds["finnhub"], scene.pipeline.feeds["finnhub"].pace
        left = await scene.pipeline.transport.quota("finnhub", replace(pace, per_day=1000))
        almost_spent = replace(pace, per_day=1001 - left["day"])
        await Regain({"finnhub": (feed, almost_spent)}, scene.pipeline).look("finnhub")
        assert not [path for _, path in scene.providers[0].asked if "/candle" in path]
        (told,) = scene.said("not asked for what was missed")
        assert (told["needs"], told["left"]) == (1, 1)
