"""The stream of the Python API on a symbol of a group: one series across a switch."""

import asyncio
from pathlib import Path
from typing import Any

from tools.simulated.timeline import Timeline

from tests.steps.grouping import GroupScene
from tests.steps.test_failover import DAY, first, second
from tickhouse.steps.follow import Follow


async def followed(scene: GroupScene, topic: str, until: tuple[str, ...], process: bool) -> list[dict[str, Any]]:
    """The rows of a topic while the scene goes on to each of these moments, processed there or not at all."""
    rows = list[dict[str, Any]]()

    async def read() -> None:
        async for row in Follow(lambda: scene.pipeline, topic, ("BTC-USD",)).rows(0.01):
            rows.append(row)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    for moment in until:
        await scene.until(DAY + moment)
        if process:
            scene.processed()
        await asyncio.sleep(0.3)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return rows


async def test_bars_are_those_of_the_feed_in_use_on_both_sides_of_a_switch(tmp_path: Path) -> None:
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:05", "12:20")), second())
    async with scene.running():
        await scene.until(DAY + "12:02")
        scene.processed()
        rows = await followed(scene, "bars", ("12:05", "12:08", "12:12"), process=True)
        last = {f"{row['start']:%H:%M}": row["source"] for row in rows}
        assert {last[minute] for minute in ("12:02", "12:03", "12:04")} == {"finnhub"}
        assert {last[f"12:{minute:02}"] for minute in range(6, 11)} == {"coingecko"}
        assert not [row for row in rows if row["source"] == "finnhub" and f"{row['start']:%H:%M}" > "12:06"]


async def test_ticks_follow_a_switch_that_is_journaled_and_not_yet_processed(tmp_path: Path) -> None:
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:05", "12:10")), second())
    async with scene.running():
        await scene.until(DAY + "12:02")
        rows = await followed(scene, "ticks", ("12:08", "12:20"), process=False)
        switched = [row["source"] for row in rows]
        assert [a for a, b in zip(switched, [None, *switched], strict=False) if a != b] == [
            "finnhub",
            "coingecko",
            "finnhub",
        ]
        scene.processed()
        await scene.stop()
        scene.start()
        await scene.until(DAY + "12:21")
        assert {row["source"] for row in await followed(scene, "ticks", ("12:22",), process=False)} == {"finnhub"}
