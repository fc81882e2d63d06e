"""Polled feeds from the command line: a single round, how it ends, what is shown of the feeds."""

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tools.simulated.site import response, site

from tests.steps.polling import quote
from tickhouse.core.clock import SECOND

# each command is a process of its own
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ADDING = Path(__file__).parents[2] / "docs" / "adding.md"
GOOD = response(200, b'[{"symbol":"AAPL","price":271.5,"timestamp":1767225600,"volume":1000}]')
REFUSED = response(401, b'{"Error Message":"Invalid API KEY."}')


def configured(folder: Path, **feeds: dict[str, Any]) -> Path:
    """A settings file; a table a feed."""
    lines = ['data = "house"']
    for name, section in feeds.items():
        lines.append(f"[feeds.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    path = folder / "tickhouse.toml"
    path.write_text("\n".join(lines))
    return path


async def tickhouse(*arguments: object, path: Path | None = None) -> tuple[int, str, str]:
    """Run a command; its status, output and what it said. Modules may lie in a folder `path`."""
    places = [str(path)] if path else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tickhouse", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*places, *sys.path])},
    )  # fmt: skip
    out, said = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, out.decode(), said.decode()


def gecko(i: int, _: str) -> bytes:
    now = int(time.time())
    return response(200, json.dumps({"bitcoin": {"usd": 60_000 + i, "last_updated_at": now}}).encode())


async def test_a_feed_of_ones_own_is_listed_polled_and_has_no_past(tmp_path: Path) -> None:
    """The one of the documentation, which leaves out what is optional, under the path of its module."""
    source = re.search(r"```python\n(.*?)```", ADDING.read_text(), re.DOTALL)[1]  # type: ignore[index]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "rates.py").write_text(source)
    page = {"result": "success", "base_code": "USD", "time_last_update_unix": int(time.time()), "rates": {"EUR": 0.92}}
    async with site(lambda *_: response(200, json.dumps(page, separators=(",", ":")).encode())) as here:
        config = configured(tmp_path, **{'"own.rates"': {"symbols": ["USD-EUR"], "url": here.url, "closed": True}})
        status, out, said = await tickhouse(
            "run", "ingest", "process", "--once", "--json", "--config", config, path=tmp_path
        )
        assert status == 0, said
        assert [line["line"] for line in json.loads(out)["lines"]] == ["own.rates-poll"]
        status, out, said = await tickhouse("ticks", "USD-EUR", "--format", "json", "--config", config, path=tmp_path)
        assert [(row["source"], row["price"]) for row in json.loads(out)] == [("own.rates", 0.92)], said
        status, out, said = await tickhouse("feeds", "--json", "--config", config, path=tmp_path)
        (row,) = [row for row in json.loads(out) if row["feed"] == "own.rates"]
        assert (row["channel"], row["channels"], row["every"]) == ("latest", {"latest": ["polled"]}, 60.0)
        status, _, said = await tickhouse(
            "backfill", "own.rates", "USD-EUR", "--start", "-9d", "--config", config, path=tmp_path
        )
        assert status == 2 and "Traceback" not in said, said


async def test_a_single_round_asks_every_polled_feed_once_and_journals_what_it_got(tmp_path: Path) -> None:
    async with site(lambda *_: GOOD) as shares, site(gecko) as coins:
        config = configured(
            tmp_path,
            fmp={"symbols": ["AAPL"], "url": shares.url, "key": "k", "closed": True},
            coingecko={"symbols": ["BTC-USD"], "url": coins.url},
            binance={"symbols": ["BTC-USDT"], "ws_url": "ws://127.0.0.1:1"},
        )
        status, out, said = await tickhouse("run", "ingest", "process", "--once", "--json", "--config", config)
        assert status == 0, said
        assert (len(shares.requests), len(coins.requests)) == (1, 1)
        summary = json.loads(out)
        assert {line["line"]: line["state"] for line in summary["lines"]} == {
            "fmp-poll": "connected", "coingecko-poll": "connected",
        }  # fmt: skip
        status, out, _ = await tickhouse("ticks", "BTC-USD", "--format", "json", "--config", config)
        assert [row["price"] for row in json.loads(out)] == [60_000.0]
        await tickhouse("run", "ingest", "process", "--once", "--json", "--config", config)
        status, out, _ = await tickhouse("status", "--json", "--config", config)
        ledger = json.loads(out)["ledger"]
        assert (ledger["fmp"]["duplicate"], ledger["fmp"]["late"]) == (1, 0), "the same old quote is a certain repeat"
        assert ledger["coingecko"]["accepted"] == 2 and all(row["balanced"] for row in ledger.values())


async def test_a_single_round_says_by_its_status_how_it_went(tmp_path: Path) -> None:
    async with site(lambda *_: REFUSED) as shares, site(gecko) as coins:
        fmp = {"symbols": ["AAPL"], "url": shares.url, "key": "k", "closed": True}
        config = configured(tmp_path, fmp=fmp, coingecko={"symbols": ["BTC-USD"], "url": coins.url})
        status, _, said = await tickhouse("run", "ingest", "--once", "--config", config)
        assert status == 1 and said.splitlines()[-1].startswith("tickhouse: ") and len(coins.requests) == 1
    slow = response(429, b'{"Error Message":"Limit Reach ."}', retry_after="9000")
    async with site(lambda *_: slow) as shares:
        config = configured(tmp_path, fmp={**fmp, "url": shares.url})
        status, _, said = await tickhouse("run", "ingest", "--once", "--config", config)
        assert status == 75, said
    for section, expected in (({"symbols": []}, "no feed of the settings is polled"), ({"market": "XNOPE"}, "XNOPE")):
        config = configured(tmp_path, fmp={**fmp, "closed": False, **section})
        status, _, said = await tickhouse("run", "ingest", "--once", "--config", config)
        assert status == 2 and expected in said
    status, _, said = await tickhouse("run", "process", "--once", "--config", config)
    assert status == 2 and "ingest" in said


async def test_a_single_round_asks_the_next_feed_of_a_group_for_what_the_first_did_not_tell(tmp_path: Path) -> None:
    told = response(200, json.dumps(quote(270.0, round(time.time() * SECOND))).encode())
    for first, second, expected, asked in ((REFUSED, told, 0, 1), (REFUSED, REFUSED, 1, 1), (GOOD, REFUSED, 0, 0)):
        async with site(lambda *_, r=first: r) as one, site(lambda *_, r=second: r) as other:
            sections = {
                "fmp": {"url": one.url, "key": "k", "closed": True},
                "finnhub": {"url": other.url, "key": "k", "channel": "quote", "closed": True},
            }
            (folder := tmp_path / f"{expected}{asked}").mkdir()
            config = configured(folder, **sections)
            group = '\n[groups.shares]\nsymbols = ["AAPL"]\nfeeds = ["fmp", "finnhub"]\n'
            config.write_text(config.read_text() + group)
            status, _, said = await tickhouse("run", "ingest", "--once", "--json", "--config", config)
            assert status == expected, said
            assert (len(one.requests), len(other.requests)) == (1, asked), said
            assert ("not asked any more" in said) == (first is REFUSED), "a feed that failed is told of anyway"


async def test_a_closed_market_is_not_asked_by_a_single_round(tmp_path: Path) -> None:
    """The exchange of Hong Kong and that of New York are never open at once."""
    async with site(lambda *_: GOOD) as one:
        fmp = {"symbols": ["AAPL"], "url": one.url, "key": "k"}
        for market in ("XHKG", "XNYS"):
            config = configured(tmp_path, fmp={**fmp, "market": market})
            status, _, said = await tickhouse("run", "ingest", "--once", "--config", config)
            assert status == 0, said
        assert len(one.requests) <= 1


async def test_a_field_with_another_name_waits_in_quarantine_for_the_command_that_heals_it(tmp_path: Path) -> None:
    """The provider says `values` for `rates`; the feed learns the new word, and `quarantine replay` reads what was kept."""
    source = re.search(r"```python\n(.*?)```", ADDING.read_text(), re.DOTALL)[1]  # type: ignore[index]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (module := tmp_path / "own" / "rates.py").write_text(source)
    page = {"result": "success", "base_code": "USD", "time_last_update_unix": int(time.time()), "values": {"EUR": 0.92}}

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await tickhouse(*arguments, "--config", str(config), path=tmp_path)

    async with site(lambda *_: response(200, json.dumps(page, separators=(",", ":")).encode())) as here:
        config = configured(tmp_path, **{'"own.rates"': {"symbols": ["USD-EUR"], "url": here.url, "closed": True}})
        status, _, said = await run("run", "ingest", "process", "--once", "--json")
        assert "Traceback" not in said, said
        _, out, said = await run("quarantine", "list", "--json")
        (kept,) = json.loads(out)
        assert kept["source"] == "own.rates" and "rates" in kept["detail"], said
        _, out, _ = await run("quarantine", "replay", "--json")
        assert json.loads(out)["healed"] == 0, "the old parser knows no better"
        module.write_text(source.replace("    rates: dict", "    values: dict").replace("page.rates", "page.values"))
        status, out, said = await run("quarantine", "replay", "--json")
        assert status == 0 and json.loads(out)["healed"] == 1, said
        await run("run", "process", "--for", "1s")
        _, out, said = await run("ticks", "USD-EUR", "--format", "json")
        assert [row["price"] for row in json.loads(out)] == [0.92], said
        assert sum("/v6/latest" in request for request in here.requests) == 1, "and nobody was asked again"
