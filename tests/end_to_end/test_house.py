"""The Python API on a small house."""

import asyncio
import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest

import tickhouse as th
from tests.cli.inside import good
from tests.end_to_end.tape import write
from tickhouse.core.errors import BadQuery, BadSetting, NoData, SettingsError, UnknownSymbol


def load(tape, data) -> None:
    """Load by another process."""
    command = [sys.executable, "-m", "tickhouse", "load", str(tape.path), "--as", "binance", "--data", str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    tape = write(folder / "tape.ndjson", trades=40_000, symbols=3, rate=20)
    good("load", tape.path, "--as", "binance", "--data", folder / "house")
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
    stored = [json.loads(values).get("sma(20)") for values in kept["values"]]
    assert bars["sma(20)"].to_list() == stored and stored[-1] is not None
    assert {"bollinger(20,2).upper", "ema(5)"} <= set(bars.columns)


def test_a_short_cut_has_the_values_of_the_whole(house):
    """Kept ones (sma, rsi, vwap) and one that is computed (ema(5)), whatever the cut."""
    wanted = ["sma(20)", "rsi(14)", "ema(5)", "vwap"]
    whole = house.bars("SYM1-USDT", indicators=wanted)
    cut = house.bars("SYM1-USDT", last=3, indicators="sma(20), rsi(14) ema(5) vwap")
    assert cut.equals(whole.tail(3)) and cut["ema(5)"].null_count() == cut["rsi(14)"].null_count() == 0
    assert cut["sma(20)"].drop_nulls().len() == whole.tail(3)["sma(20)"].drop_nulls().len() > 0
    assert (cut["vwap()"] != cut["vwap"]).all()
    with pytest.raises(BadSetting, match="did you mean sma"):
        house.bars("SYM1-USDT", indicators=["smaa(20)"])


def test_indicators_of_several_symbols_are_those_of_each(house):
    both = house.bars(["SYM1-USDT", "SYM2-USDT"], last=2, indicators="ema(5)")
    one = house.bars("SYM2-USDT", last=2, indicators="ema(5)")
    assert both.height == 4 and both.tail(2).equals(one)


def test_a_symbol_may_be_spelt_in_any_way(house):
    assert house.bars("sym1/usdt", last=1)["symbol"].to_list() == ["SYM1-USDT"]
    assert house.ticks("sym1_usdt", last=1).height == house.coverage("sym1-usdt").head(1).height == 1
    assert house.trace("sym1/usdt", "2026-01-01T00:03")["bar"]["symbol"] == "SYM1-USDT"


def test_a_length_of_time_counts_back_from_the_newest(house):
    assert house.bars("SYM1-USDT", last="5m").equals(house.bars("SYM1-USDT", last=5))
    times = house.ticks("SYM1-USDT", last="10s")["event_time"]
    assert 0 < times.len() < 1000 and (times.max() - times.min()).total_seconds() < 10


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
    with pytest.raises(UnknownSymbol, match="there are SYM0-USDT, SYM1-USDT, SYM2-USDT"):
        house.bars("NOPE")
    with pytest.raises(NoData, match="no bars of 7m here; it has 1m, 5m"):
        house.bars("SYM1-USDT", "7m")
    with pytest.raises(BadSetting, match="expected bars, anomalies or ticks"):
        house.stream("prices")
    (tmp_path / "no.toml").write_text('data = "gone"\n')
    for place in (tmp_path / "no where", tmp_path / "no.toml"):
        with pytest.raises(SettingsError, match="no house") as error:
            th.open(place)
        command = shlex.split(str(error.value).split("`")[1])
        help_ = subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=False)
        assert command[-1] == str(place) and help_.returncode == 0, help_.stderr
        assert not (tmp_path / "gone").exists() and not (tmp_path / "no where").exists()


async def test_a_closed_house_says_so(made):
    house = th.open(made[0])
    waiting = asyncio.ensure_future(anext(house.stream("ticks", poll=5.0)))
    await asyncio.sleep(0.2)
    house.close()
    house.close()
    for ask in (lambda: house.bars("SYM1-USDT"), house.status, house.stream, lambda: house.sql("select 1")):
        with pytest.raises(SettingsError, match=r"closed; tickhouse\.open opens it again"):
            ask()
    with pytest.raises(SettingsError, match="closed"):
        await asyncio.wait_for(waiting, 10)


@pytest.mark.slow
async def test_a_stream_of_ticks_gives_what_is_journaled_from_now_on(made, tmp_path):
    tape = write(tmp_path / "more.ndjson", trades=2000, symbols=2, seed=3)
    await asyncio.to_thread(load, tape, tmp_path / "house")
    more = write(tmp_path / "again.ndjson", trades=2000, symbols=2, seed=4)
    with th.open(tmp_path / "house") as house:

        async def seen() -> list[dict]:
            return [row async for _, row in zip_async(range(50), house.stream("ticks", "sym1/usdt", poll=0.05))]

        reading = asyncio.create_task(seen())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(load, more, tmp_path / "house")
        rows = await asyncio.wait_for(reading, 30)
        held = house.ticks("SYM1-USDT").columns
    assert [list(row) for row in rows] == [held] * 50 and {row["symbol"] for row in rows} == {"SYM1-USDT"}
    wanted = [line for line in more.path.read_text().splitlines() if '"SYM1USDT"' in line and line.endswith("}")]
    assert [row["price"] for row in rows] == [float(json.loads(line)["p"]) for line in wanted[:50]]


@pytest.mark.slow
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
