"""Bars of the time before the start come from any feed that has bars, of the intervals that it has."""

from pathlib import Path

from tests.steps.test_backfill import NOW, days, klines, past
from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Query
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


async def test_the_longest_bars_come_first_so_that_none_of_them_is_rolled_up_of_shorter_ones(tmp_path: Path) -> None:
    async with past(tmp_path, "binance", klines) as house:
        pipeline, _ = house.opened(Task((), "", "", (0, 1)))
        ingest, process = pipeline.ingest(), pipeline.process()

        async def take(batches: list[RawBatch]) -> None:
            ingest.take(batches)
            process.catch_up()

        feed = pipeline.feeds["binance"]
        recent = Recent((feed, feed.pace), pipeline.transport, take, pipeline.warm.symbols)  # type: ignore[arg-type]
        await recent.run(("BTC-USDT",), ("1m", "5m"), 3600, NOW)
        bars = {i: pipeline.warm.bars(Query(interval=i, versions=True)).to_pylist() for i in ("1m", "5m")}
        await pipeline.transport.close()
        pipeline.close()
    assert {interval: len(rows) for interval, rows in bars.items()} == {"1m": 60, "5m": 12}
    assert all(row["version"] == 0 and row["first_raw"] == row["last_raw"] for row in bars["5m"])
