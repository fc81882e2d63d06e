"""Columns of local times against Python's own calendar, one by one."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tickhouse.feeds._zones import FIRST, LAST, from_local, local_days, offsets, zone_of

ZONES = (
    "America/New_York",
    "Europe/London",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
)


def moments() -> np.ndarray:
    """Random ones, and those around each change of clocks of two years."""
    choose = random.Random(7)
    random_ones = [choose.randrange(FIRST, LAST) for _ in range(200)]
    around = [t + d for t in range(1_735_689_600, 1_767_225_600, 3600) for d in (-1, 0)]
    return np.array(random_ones + around, np.int64)


@pytest.mark.parametrize("name", ZONES)
def test_offsets_and_dates_are_those_of_the_calendar(name: str) -> None:
    zone, seconds = ZoneInfo(name), moments()
    local = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=s) for s in seconds.tolist()]
    plain = [moment.astimezone(zone) for moment in local]
    assert offsets(seconds, zone).tolist() == [round(m.utcoffset().total_seconds()) for m in plain]  # type: ignore[union-attr]
    assert local_days(seconds, zone).tolist() == [(m.date() - datetime(1970, 1, 1).date()).days for m in plain]


@pytest.mark.parametrize("name", ZONES)
def test_local_times_become_moments_as_the_calendar_says(name: str) -> None:
    """Each quarter of an hour of a year, those that come twice and those that never come among them."""
    zone = ZoneInfo(name)
    walls = np.arange(1_735_689_600, 1_767_225_600, 900)
    clocks = [datetime(1970, 1, 1) + timedelta(seconds=w) for w in walls.tolist()]
    expected = [round(clock.replace(tzinfo=zone).timestamp()) for clock in clocks]
    assert from_local(walls, zone).tolist() == expected


def test_no_moments_have_no_offsets_and_old_names_are_known() -> None:
    assert offsets(np.zeros(0, np.int64), ZoneInfo("UTC")).tolist() == []
    assert zone_of("US/Eastern") == ZoneInfo("America/New_York")
    assert zone_of("") is zone_of("../etc/passwd") is zone_of("No/Where") is None
