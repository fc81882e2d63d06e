"""The Python API on a small house."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest

import tickhouse as th
from tests.end_to_end.tape import write
from tickhouse.core.errors import BadQuery, BadSetting, NoData, SettingsError


def load(tape, data) -> None:
    command = [sys.executable, "-m", "tickhouse", "load", str(tape.path), "--as", "binance", "--data", str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    tape = write(folder / "tape.ndjson", trades=40_000, symbols=3)
    load(tape, folder / "house")
    return folder / "house", tape


@pytest.fixture
def house(made):
    with th.open(made[0]) as opened:
        yield opened


def test_bars_of_one_symbol_are_a_polars_frame_in_order(house, made):
    bars = house.bars("SYM1-USDT", "1m")
    assert (
        isinstance(bars, pl.DataFrame) and bars["start"].is_sorted() and bars["start"].dtype == pl.Datetime("us", "UTC")
    )
    assert bars.height == sum(1 for symbol, _ in made[1].bars if symbol == "SYM1-USDT")


def test_a_range_takes_texts_and_datetimes_and_has_an_open_end(house):
    some = house.bars("SYM1-USDT", "1m", start="2026-01-01T00:02", end=datetime(2026, 1, 1, 0, 5, tzinfo=UTC))
    assert [row.minute for row in some["start"].to_list()] == [2, 3, 4]


def test_several_symbols_and_the_newest_of_each(house):
    bars = house.bars(["SYM1-USDT", "SYM2-USDT"], "5m", last=1)
    assert bars["symbol"].to_list() == ["SYM1-USDT", "SYM2-USDT"]


def test_indicators_asked_for_are_those_the_house_keeps(house):
    bars = house.bars("SYM1-USDT", "1m", indicators=["sma(20)", "bollinger(20,2)", "ema(5)"])
    kept = house.sql(
        "select start, values from indicators where symbol = 'SYM1-USDT' and interval = '1m' order by start"
    )
    stored = kept["values"].str.json_path_match("$['sma(20)']").cast(pl.Float64)
    assert bars["sma(20)"].drop_nulls().to_list() == stored.drop_nulls().to_list()
    assert {"bollinger(20,2).upper", "ema(5)"} <= set(bars.columns)


def test_as_of_before_anything_was_known_is_empty(house):
    assert house.bars("SYM1-USDT", "1m", as_of="2020-01-01").is_empty()
    assert not house.bars("SYM1-USDT", "1m", as_of="now").is_empty()


def test_ticks_coverage_anomalies_and_trace_answer(house):
    ticks = house.ticks("SYM1-USDT", last=10)
    assert ticks.height == 10 and ticks["event_time"].is_sorted()
    assert set(house.coverage("SYM1-USDT")["state"]) <= {"live", "quiet", "blind", "delayed", "backfilled"}
    assert "detector" in house.anomalies().columns
    found = house.trace("SYM1-USDT", "2026-01-01T00:03", interval="1m")
    assert found["raw"]["count"] >= found["bar"]["trades"] > 0


def test_sql_has_the_newest_versions_and_every_version(house):
    newest, every = (house.sql(f"select count(*) n from {t}")["n"][0] for t in ("bars", "versions.bars"))
    assert every >= newest > 0


def test_what_cannot_be_is_said_in_one_sentence(house, tmp_path):
    with pytest.raises(BadSetting, match="interval"):
        house.bars("SYM1-USDT", "soon")
    with pytest.raises(NoData):
        house.trace("SYM1-USDT", "1999-01-01")
    with pytest.raises(BadQuery):
        house.sql("delete from bars")
    with pytest.raises(SettingsError, match="no house"):
        th.open(tmp_path / "nowhere")


async def test_a_stream_gives_the_bars_that_are_stored_from_now_on(tmp_path):
    """Corrections of old bars too."""
    first, second = (
        write(tmp_path / "a.ndjson", trades=6000, symbols=1),
        write(tmp_path / "b.ndjson", trades=30_000, symbols=2, seed=9),
    )
    await asyncio.to_thread(load, first, tmp_path / "house")
    with th.open(tmp_path / "house") as house:

        async def seen() -> list[dict]:
            return [row async for _, row in zip_async(range(5), house.stream("bars", poll=0.05))]

        reading = asyncio.create_task(seen())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(load, second, tmp_path / "house")
        rows = await asyncio.wait_for(reading, 30)
    assert len(rows) == 5 and {"symbol", "start", "version", "completeness"} <= set(rows[0])


async def zip_async(numbers, stream):
    """Pairs of a range and an asynchronous stream, closed after the last."""
    for number in numbers:
        yield number, await anext(stream)
    await stream.aclose()
