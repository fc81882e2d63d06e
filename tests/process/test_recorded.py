"""Bars of recorded prints against the bars that their vendor published for the same minutes."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from tests.process.house import House
from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.marks import Event, Mark
from tickhouse.process import sale_conditions
from tickhouse.process.rules import Rules

LANE = "load:spy"


def prints(path: Path) -> TickBatch:
    """A day of trade prints without ids."""
    frame = pl.read_parquet(path)
    times = frame["ts"].dt.timestamp("us").to_numpy().copy()
    texts = frame["conditions"].fill_null("").to_arrow().cast(pa.string()).dictionary_encode()
    n, size = len(frame), frame["size"].cast(pl.Float64).to_numpy()
    conditions = ["", *texts.dictionary.to_pylist()]
    return TickBatch(
        "lean", LANE, ["SPY"], np.zeros(n, np.int32), times, times, frame["price"].to_numpy(), size,
        np.full(n, -1), np.full(n, -1), np.arange(n), conditions, np.asarray(texts.indices, np.int32) + np.int32(1),
    )  # fmt: skip


@pytest.mark.parametrize("day", ["20131007", "20131008"])
def test_minutes_of_spy_prints_equal_the_bars_of_the_vendor(recordings, day):
    """All but one or two of 828 minutes, with the sale conditions that set no price left out of it."""
    batch = prints(recordings / "bulk" / "equity_ticks" / f"SPY_trades_{day}.parquet")
    end = Record(len(batch), 1, "lean", "link", LANE, 0, marks=(Mark(Event.END, 0),))
    house = House(Rules(conditions={"lean": sale_conditions.load("us-equities")}))
    house.run(Record(0, len(batch), "lean", "trade", LANE, 0, ticks=batch), end)
    bars = pl.read_parquet(recordings / "bulk" / "bars" / "US_equity_1m_2013.parquet").filter(
        (pl.col("symbol").cast(pl.String) == "SPY") & (pl.col("ts").dt.strftime("%Y%m%d") == day)
    )
    names = ("open", "high", "low", "close", "volume")
    made = {row["start"]: row for row in house.made if row["interval"] == "1m"}
    expected = {round(row["ts"].timestamp()) * 1_000_000: row for row in bars.to_dicts()}
    assert len(expected) > 800 and len(set(expected) - set(made)) <= 2
    equal = [all(made[start][name] == row[name] for name in names) for start, row in expected.items() if start in made]
    assert sum(equal) >= len(expected) - 6
