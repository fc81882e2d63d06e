"""`tickhouse backfill` whole: killed and resumed, stopped by the quota, told beforehand and summed up."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tools.simulated.site import response, site

import tickhouse as th
from tests.end_to_end.test_polled import configured, tickhouse
from tests.steps.test_backfill import days, klines, observations
from tickhouse.cli.backfilling import Wanted, backfill
from tickhouse.core.errors import BadSetting, NoData, SettingsError

Fetch = Callable[..., Awaitable[tuple[dict[str, Any], str]]]


def asked(head: str) -> dict[str, str]:
    parts = urlsplit(head.split()[1])
    return {"path": parts.path, **{key: values[0] for key, values in parse_qs(parts.query).items()}}


def answered(value: Any) -> bytes:
    return response(200, json.dumps(value).encode())


@pytest.fixture
def fetch(capsys: pytest.CaptureFixture[str]) -> Fetch:
    """Run the command in this process; its report and what it said. Raises what makes the command fail."""

    async def run(config: Path, *arguments: Any) -> tuple[dict[str, Any], str]:
        capsys.readouterr()
        await asyncio.to_thread(backfill, None, config, Wanted(*arguments), True)
        out = capsys.readouterr()
        return json.loads(out.out), out.err

    return run


@pytest.mark.slow
async def test_a_backfill_that_is_killed_goes_on_and_ends_as_an_undisturbed_one(tmp_path: Path, fetch: Fetch) -> None:
    stop, houses = asyncio.Event(), []

    async def slowly(number: int, head: str) -> bytes:
        if number == 7:
            stop.set()
            await asyncio.sleep(3600)
        return answered(klines(asked(head)))

    start, end, symbols = "2026-03-01", "2026-03-05", ("BTC-USDT", "ETH-USDT")
    for name, script in (("killed", slowly), ("whole", lambda _, head: answered(klines(asked(head))))):
        (tmp_path / name).mkdir()
        async with site(script) as here:
            config = configured(tmp_path / name, binance={"symbols": [], "url": here.url})
            if name == "killed":
                command = (sys.executable, "-m", "tickhouse", "backfill", "binance", *symbols, "--config", str(config))
                options = ("--start", start, "--end", end, "--interval", "1m")
                process = await asyncio.create_subprocess_exec(*command, *options, stderr=asyncio.subprocess.DEVNULL)
                await asyncio.wait_for(stop.wait(), 100)
                process.send_signal(signal.SIGKILL)
                await process.wait()
            report, _ = await fetch(config, "binance", symbols, start, end, "1m", None)
            assert report["complete"] and report["nothing"] == []
            # Six pages a symbol; seven had come, and the kill may have been before the last of them was durable.
            assert report["calls"] in ((12,) if name == "whole" else (5, 6))
            assert len({(ask["symbol"], ask["startTime"]) for ask in map(asked, here.requests)}) == 12
            again, said = await fetch(config, "binance", symbols, start, end, "1m", None)
            assert again["calls"] == 0 and "nothing is lacking" in said
        with th.open(config) as house:
            bars = house.bars("ETH-USDT", start=start, versions=True)
            assert house.status()["ledger"]["binance"]["balanced"]
        houses.append(bars.drop("known_at", "first_raw", "last_raw"))
    assert houses[0].height == 4 * 1440
    assert houses[0].equals(houses[1])


@pytest.mark.slow
async def test_a_backfill_says_what_it_takes_and_ends_with_75_when_the_day_is_spent(
    tmp_path: Path, fetch: Fetch
) -> None:
    async with site(lambda _, head: answered(days(asked(head)))) as here:
        config = configured(tmp_path, fmp={"symbols": [], "url": here.url, "key": "k", "per_day": 2})
        symbols, options = ("AAPL", "MSFT", "IBM"), ("--start", "2026-03-02", "--end", "2026-03-07", "--json")
        status, out, said = await tickhouse("backfill", "fmp", *symbols, *options, "--config", config)
        assert status == 75 and len(here.requests) == 2
        assert "3 ranges of 3 symbols are lacking; that takes 3 calls at least, of 2 left today (150%)" in said
        assert said.splitlines()[-1].startswith("tickhouse: the quota of fmp is spent")
        report = json.loads(out)
        assert "run it again on 1 more days, until 20" in said and report["expected_end"][:10] in said
        assert (report["complete"], report["calls"], report["left"]) == (False, 2, {"day": 0})
        config = configured(tmp_path, fmp={"symbols": [], "url": here.url, "key": "k", "per_day": 9})
        report, said = await fetch(config, "fmp", symbols, "2026-03-02", "2026-03-07", "1d", None)
        assert report["calls"] == 1 and "1 ranges of 1 symbols" in said and report["left"] == {"day": 6}


async def test_what_there_is_not_and_what_cannot_be_is_said(tmp_path: Path, fetch: Fetch) -> None:
    async with site(lambda *_: answered([])) as here:
        config = configured(tmp_path, fmp={"symbols": [], "url": here.url, "key": "k"})
        with pytest.raises(NoData, match="nothing could be had of NOPE"):
            await fetch(config, "fmp", ("NOPE",), "2026-03-02", None, "1d", None)
    for arguments, expected in (
        (("fmp", ("AAPL",), None, None, "1d", None), "--start"),
        (("fmp", ("AAPL",), "2040-01-01", None, "1d", None), "--start"),
        (("csv", ("AAPL",), "-1d", None, "1d", None), "SOURCE"),
        (("alpha_vantage", ("AAPL",), "-9d", None, "1d", None), "feeds.alpha_vantage.key"),
        (("yahoo", ("AAPL",), "-9d", None, "3m", None), "--interval"),
    ):
        with pytest.raises(SettingsError, match=expected):
            await fetch(config, *arguments)
    with pytest.raises(BadSetting, match="nope"):
        await fetch(config, "nope", ("AAPL",), "-1d", None, "1d", None)


@pytest.mark.slow
async def test_economic_series_come_with_all_vintages_and_are_told_as_they_were_known(
    tmp_path: Path, fetch: Fetch
) -> None:
    async with site(lambda _, head: answered(observations(asked(head)))) as here:
        config = configured(tmp_path, fred={"symbols": [], "url": here.url, "key": "k" * 32})
        report, _ = await fetch(config, "fred", ("GDP",), None, None, "1d", None)
        assert report["calls"] == len(here.requests) == 2
    status, out, _ = await tickhouse("series", "gdp", "--as-of", "2025-11-01", "--format", "json", "--config", config)
    assert [(row["date"], row["value"]) for row in json.loads(out)] == [("2025-04-01", 100.0), ("2025-07-01", 101.0)]
    status, _, said = await tickhouse("series", "NOPE", "--config", config)
    assert status == 2 and "no series NOPE" in said
    with th.open(config) as house:
        assert house.series("gdp")["value"].to_list() == [100.0, 101.5]
        assert house.series(["GDP", "CPI"], versions=True).height == 3
        for view, count in (("observations", 2), ("versions.observations", 3), ("actions", 0)):
            assert house.sql(f"select * from {view}").height == count
        newest = house.sql("select max(value) as v from observations where date >= date '2025-07-01'")
        assert newest["v"].to_list() == [101.5]
