"""The feed on answers that others recorded from the live service, every one of them."""

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadCredentials, RateLimited, UnknownSymbol
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import fred

AFTER = 1_790_000_000_000_000
OBSERVATIONS = {
    "observations_GDP_2024-11-03.json": ("observations:GDP", 315, 4, date(2024, 11, 3)),
    "observations_GDP_2025-01-20.json": ("observations:GDP", 315, 4, date(2025, 1, 20)),
    "observations_SOFR_2024-06.json": ("observations:SOFR", 4, 0, date(2024, 6, 27)),
    "observations_GDP_asof_2019-01-01.json": ("observations:GDP:vintages", 2902, None, None),
    "observations_GDP_output_type_4.json": ("observations:GDP:vintages", 132, 0, None),
}
"""File to channel, rows, missing values, and the vintage of all rows where there is but one."""
SILENT = {
    "category_children_empty.json": "category_children", "category_series_125.json": "category_series",
    "release_dates_10.json": "release_dates", "series_GDP.json": "series", "series_release_GDP.json": "series_release",
    "sources.json": "sources", "vintagedates_GDP.json": "vintagedates:GDP",
}  # fmt: skip
REFUSED = {
    "errors/400_api_key_not_registered.json": BadCredentials, "errors/400_api_key_not_set.json": BadCredentials,
    "errors/400_default_xml.xml": UnknownSymbol, "errors/400_series_does_not_exist.json": UnknownSymbol,
    "errors/429_rate_limit.json": RateLimited,
}  # fmt: skip


def parsed(folder: Path, file: str, channel: str, received_at: int = AFTER) -> Parsed:
    body = (folder / "fred" / file).read_bytes()
    feed = fred.open()
    assert feed.classify(Answer(200, {}, body, received_at)) is None
    return feed.parse(RawBatch.of("fred", channel, [body], received_at))


def entries(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "fred" / "index.json").read_text())["entries"]
    return found


def plain(folder: Path, file: str) -> list[tuple[str, str, str]]:
    """Date, value and first day of belief of each row, taken from the text without any JSON reader."""
    text = (folder / "fred" / file).read_text()
    pattern = r'\{"realtime_start":"([^"]+)","realtime_end":"[^"]+","date":"([^"]+)","value":"([^"]+)"\}'
    return [(day, value, since) for since, day, value in re.findall(pattern, text)]


def test_every_recording_is_used(recordings: Path) -> None:
    assert {entry["file"] for entry in entries(recordings)} == {*OBSERVATIONS, *SILENT, *REFUSED}


@pytest.mark.parametrize("file", OBSERVATIONS)
def test_observations_are_what_stands_in_the_text(recordings: Path, file: str) -> None:
    channel, count, missing, vintage = OBSERVATIONS[file]
    (entry,) = [one for one in entries(recordings) if one["file"] == file]
    captured = datetime.fromisoformat(entry["captured"])
    found = parsed(recordings, file, channel, round(captured.timestamp()) * 1_000_000)
    assert found.observations is not None and not found.rejects
    rows, expected = found.observations.to_pylist(), plain(recordings, file)
    assert len(rows) == len(expected) == count
    assert missing in (None, sum(row["value"] is None for row in rows))
    assert vintage in (None, captured.astimezone(ZoneInfo("America/Chicago")).date())
    for row, (day, value, since) in zip(rows, expected, strict=True):
        assert row["series"] == channel.split(":")[1]
        assert row["date"] == date.fromisoformat(day)
        assert row["value"] == (None if value == "." else float(value))
        assert row["vintage"] == (vintage or date.fromisoformat(since))


def test_the_last_quarter_was_revised_between_two_recordings(recordings: Path) -> None:
    """The only value in which they differ, and the one whose vintage says which of the two is newer."""
    files = ("observations_GDP_2024-11-03.json", "observations_GDP_2025-01-20.json")
    tables = [parsed(recordings, file, "observations:GDP").observations for file in files]
    before, after = ({row["date"]: row["value"] for row in table.to_pylist()} for table in tables if table is not None)
    changed = {day: (before[day], after[day]) for day in before if before[day] != after[day]}
    assert changed == {date(2024, 7, 1): (29349.924, 29374.914)}


def test_what_was_believed_on_a_day_follows_from_the_vintages(recordings: Path) -> None:
    """The newest vintage of a date up to a day is what was believed then: checked with the last days of belief of the file."""
    table = parsed(recordings, "observations_GDP_asof_2019-01-01.json", "observations:GDP:vintages").observations
    body = json.loads((recordings / "fred" / "observations_GDP_asof_2019-01-01.json").read_bytes())
    assert table is not None
    for day in ("1996-06-01", "2009-08-15", "2019-01-01"):
        newest: dict[date, float | None] = {}
        for row in sorted(table.to_pylist(), key=lambda row: row["vintage"]):
            if row["vintage"] <= date.fromisoformat(day):
                newest[row["date"]] = row["value"]
        believed = {
            date.fromisoformat(item["date"]): None if item["value"] == "." else float(item["value"])
            for item in body["observations"]
            if item["realtime_start"] <= day <= item["realtime_end"]
        }
        assert newest == believed
        assert len(newest) > 100


def test_each_first_release_is_a_vintage_of_the_whole_history(recordings: Path) -> None:
    """The two were recorded with different questions, and agree wherever both have a date."""
    tables = [
        parsed(recordings, file, "observations:GDP:vintages").observations
        for file in ("observations_GDP_output_type_4.json", "observations_GDP_asof_2019-01-01.json")
    ]
    first, all_of_them = (
        {(r["date"], r["vintage"], r["value"]) for r in table.to_pylist()} for table in tables if table
    )
    assert {row for row in first if row[1] <= date(2019, 1, 1)} <= all_of_them
    days = json.loads((recordings / "fred" / "vintagedates_GDP.json").read_bytes())["vintage_dates"]
    assert {str(row[1]) for row in first | all_of_them} <= set(days)


@pytest.mark.parametrize("file", SILENT)
def test_what_has_no_rows_is_control(recordings: Path, file: str) -> None:
    found = parsed(recordings, file, SILENT[file])
    assert found.kinds.tolist() == [Kind.CONTROL]
    assert (found.observations, found.rejects) == (None, ())


@pytest.mark.parametrize("with_status", [True, False])
@pytest.mark.parametrize("file", REFUSED)
def test_a_refusal_is_the_right_error_also_when_its_status_is_lost(
    recordings: Path, file: str, with_status: bool
) -> None:
    (entry,) = [one for one in entries(recordings) if one["file"] == file]
    body = (recordings / "fred" / file).read_bytes()
    found = fred.open().classify(Answer(entry["status"] if with_status else 200, {}, body, AFTER))
    assert type(found) is REFUSED[file]
    assert body.decode().strip() not in str(found)
    if isinstance(found, RateLimited):
        assert found.retry_after == 60


def test_a_recording_of_one_channel_is_not_taken_for_another(recordings: Path) -> None:
    body = (recordings / "fred" / "series_GDP.json").read_bytes()
    found = fred.open().parse(RawBatch.of("fred", "observations:GDP", [body], AFTER))
    assert [reject.reason for reject in found.rejects] == ["changed_field"]
