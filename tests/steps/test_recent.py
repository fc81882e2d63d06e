"""Bars of the time before the start come from any feed that has bars, of the intervals that it has."""

from pathlib import Path

from tests.steps.test_backfill import NOW, days, past
from tickhouse.core.batches import RawBatch
from tickhouse.steps.backfill import Task
from tickhouse.steps.recent import Recent


async def test_recent_bars_come_on_the_channel_that_has_them_and_of_no_length_that_there_is_not(tmp_path: Path) -> None:
    async with past(tmp_path, "fmp", days, key="k") as house:
        pipeline, _ = house.opened(Task((), "", "", (0, 1)))
        taken: list[RawBatch] = []

        async def take(batches: list[RawBatch]) -> None:
            taken.extend(batches)

        feed = pipeline.feeds["fmp"]
        recent = Recent((feed, feed.pace), pipeline.transport, take, pipeline.warm.symbols)  # type: ignore[arg-type]
        answers = await recent.run(("AAPL",), ("1d", "7m"), 10 * 86_400, NOW)
        await pipeline.transport.close()
        pipeline.close()
    assert answers == len(house.asked) == 1
    assert [batch.channel for batch in taken] == ["link", "historical:AAPL", "link"]
