"""What each polled feed spends of its calls in a day: never more than is allowed, and nothing of use is left."""

from dataclasses import replace
from pathlib import Path

import pytest
from tools.simulated.quota_day import DAYS, Day, spent

QUICK = ("frankfurter",)


@pytest.mark.parametrize(
    "day", [pytest.param(day, marks=[] if day.feed in QUICK else [pytest.mark.slow], id=day.feed) for day in DAYS]
)
async def test_a_day_spends_what_is_useful_and_no_call_is_refused(tmp_path: Path, day: Day) -> None:
    if day.feed in ("finnhub", "yahoo"):
        day = replace(day, end="2026-03-06T16:30", hours=2.0)
    found = await spent(tmp_path, day)
    assert found.refused == 0, "the provider, which counts for itself, refused"
    assert len(found.calls) <= found.allowed
    assert 0.9 <= found.share <= 1.05, (len(found.calls), found.wished, found.allowed)
    assert max(b - a for a, b in zip(found.calls, found.calls[1:], strict=False)) < 2 * found.every * 1e6, (
        "spread evenly"
    )
