"""The feeds of the demo: their sections of the settings open feeds that the exchange answers."""

import json
import subprocess
import sys

import pytest

from tests.exchange.asking import house, sent, understood
from tests.exchange.talk import passed
from tickhouse.cli.demo_feeds import named, sections
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import SettingsError, UnknownName
from tickhouse.core.model import Want
from tickhouse.core.settings import FeedSettings, Settings
from tickhouse.exchange.limits import Limits
from tickhouse.steps import chosen
from tickhouse.steps.simulated import ASKED


def test_all_are_every_provider_and_a_name_that_is_none_is_said():
    assert named("all") == list(ASKED) and named("yahoo, fred") == ["yahoo", "fred"]
    with pytest.raises(UnknownName, match="yaho"):
        named("yaho")


@pytest.mark.parametrize("name", [name for name in ASKED if name != "binance"])
async def test_a_section_opens_a_feed_that_is_answered_with_all_of_its_symbols(tmp_path, name):
    async with house(tmp_path) as here:
        here.exchange.doorman.limits = Limits(ping_every=1e9)
        section = FeedSettings(**sections([name], {"url": here.exchange.url, "ws_url": here.exchange.ws_url}, [])[name])
        feed, want = chosen.feed(Settings(feeds={name: section}), name), Want(tuple(section.symbols), section.channel)
        await passed(here.exchange, here.clock, 65)
        try:
            feed.subscriptions(want)
        except SettingsError:
            found = understood(await here.asked(feed, feed.poll(want)))
            assert found == {**sent(here.exchange, name)}
            told = {row[0] for rows in found.values() for row in rows}
        else:
            batches = await here.heard(feed, want, 15)
            pages = [feed.parse(RawBatch.of(name, b.channel, list(b.payloads()), here.clock.now())) for b in batches]
            assert not any(page.rejects for page in pages)
            rows = [
                page.quotes if page.quotes is not None else page.ticks.to_arrow()
                for page in pages
                if page.quotes or page.ticks
            ]
            told = {row["symbol"] for table in rows for row in table.to_pylist()}
        assert told == set(section.symbols)


@pytest.mark.slow
def test_the_demo_of_all_feeds_runs_and_its_ledger_balances(tmp_path):
    command = [sys.executable, "-m", "tickhouse", "demo", "--feeds", "all", "--for", "10s", "--port", "0", "--json"]
    done = subprocess.run([*command, "--data", str(tmp_path)], capture_output=True, text=True, check=True, timeout=300)
    summary = json.loads(done.stdout)
    assert summary["simulated"] and all(row["balanced"] for row in summary["ledger"].values())
    assert {"binance", "yahoo", "finnhub"} <= set(summary["ledger"])
    assert any(line["connections"] for line in summary["lines"])
