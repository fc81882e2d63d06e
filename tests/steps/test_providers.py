"""`tickhouse feeds`: what there is of each provider, and how the lines of a running pipeline are."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tools.simulated.scene import Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.polling import finnhub, quote
from tickhouse.cli.ask import status as command
from tickhouse.cli.providers import providers, told
from tickhouse.core.budget import Budget
from tickhouse.core.clock import ManualClock
from tickhouse.core.plugins import names
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps import locks
from tickhouse.steps.read import Reader
from tickhouse.surfaces.api import create_app


def test_every_feed_is_listed_without_a_house_and_none_is_made(tmp_path: Path) -> None:
    rows = providers(load(None, tmp_path / "none"), ManualClock(us("2026-03-07T12:00")))
    assert [row["feed"] for row in rows] == names("feeds")
    assert not (tmp_path / "none").exists()
    by_name = {row["feed"]: row for row in rows}
    assert by_name["finnhub"]["channels"] == {"trade": ["socket"], "quote": ["polled"], "candle": ["history"]}
    assert by_name["finnhub"]["key"] == {"needed": "required", "set": False}
    assert (by_name["yahoo"]["open"], by_name["yahoo"]["opens"]) == (False, "2026-03-09T13:30:00Z")
    assert by_name["binance"]["open"] and by_name["frankfurter"]["every"] == 3600
    assert by_name["fmp"]["quota"]["left"] == {"day": 250}
    assert all(row["licence"] and row["title"] for row in rows)
    assert "closed until 2026-03-09T13:30Z" in told(by_name["yahoo"])


def test_the_key_is_never_shown_and_a_section_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    feeds = {"finnhub": {"key": "hush-hush", "symbols": ["AAPL"]}, "yahoo": {"channel": "nope"}}
    rows = {row["feed"]: row for row in providers(load(None, tmp_path / "none", feeds=feeds))}
    assert rows["finnhub"]["key"] == {"needed": "required", "set": True}
    assert "key required, set" in told(rows["finnhub"])
    assert "feeds.yahoo.channel" in told(rows["yahoo"])
    assert "hush-hush" not in str(rows) + "".join(map(told, rows.values()))


@pytest.mark.parametrize("down", [False, True])
async def test_the_lines_of_a_running_pipeline_are_shown(tmp_path: Path, down: bool) -> None:
    failing = us("2026-03-06T15:05") if down else us("2027-01-01T00:00")
    shares = finnhub(lambda _, now: response(503) if now >= failing else quote(100, now), "AAPL", "MSFT")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:10")

        def row() -> dict[str, object]:
            return next(row for row in providers(scene.settings, scene.timeline.clock) if row["feed"] == "finnhub")

        assert told(row()).count("not running") == 1
        with locks.role(tmp_path, "ingest"):
            line = row()["lines"][0]  # type: ignore[index]
            assert (line["line"], line["up"], line["symbols"]) == ("finnhub-poll", not down, 2)
            assert line["heard"] > "2026-03-06T15:04" and ("reason" in line) == down
            assert ("finnhub-poll down: " if down else "finnhub-poll up") in told(row())
            assert row()["quota"]["left"]["minute"] < 60  # type: ignore[index]
            assert status(scene)["finnhub"] == row()["quota"]


async def test_status_tells_what_is_left_of_quotas_on_the_command_line_and_in_rest(house, capsys) -> None:
    feeds = {"alpha_vantage": {"key": "k"}, "csv": {}}
    pipeline = house(feeds=feeds)
    budget = Budget(pipeline.settings.data / "budget.db", pipeline.clock)
    for _ in range(3):
        pipeline.clock.move(20)
        assert budget.take("alpha_vantage", pipeline.feeds["alpha_vantage"].pace) == 0
    budget.close()
    found = Reader(pipeline).status()["quota"]
    assert list(found) == ["alpha_vantage"], "a file has no quota"
    assert found["alpha_vantage"]["left"]["day"] == found["alpha_vantage"]["allowed"]["day"] - 3 == 22
    assert found["alpha_vantage"]["day_ends"] == "2026-01-01T05:00:00Z", "New York's midnight"
    app = create_app(Reader(pipeline), clock=pipeline.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tickhouse") as client:
        assert (await client.get("/v1/status")).json()["quota"] == found
    (pipeline.settings.data / "tickhouse.toml").write_text('[feeds.alpha_vantage]\nkey = "k"\n')
    command(data=pipeline.settings.data)
    assert "quota of alpha_vantage: 25 of 25 a day" in capsys.readouterr().out, (
        "today, which is not the day of the test's clock"
    )


def status(scene: Scene) -> dict[str, Any]:
    """The quotas as the status has them."""
    pipeline = Pipeline(scene.settings, scene.timeline.clock)
    try:
        return dict(Reader(pipeline).status()["quota"])
    finally:
        pipeline.close()
