"""The dialect of FRED, as the feed understands it."""

import json
from datetime import date

import pytest

from tests.exchange.asking import DAY, NOON, house, sent, understood
from tests.exchange.talk import ask, shape, tell
from tickhouse.core.errors import BadCredentials, UnknownSymbol
from tickhouse.core.model import Want
from tickhouse.exchange.terms import Terms

SERIES = ("GDP", "UNRATE", "DGS10")
YEARS_AGO = NOON - 3 * 366 * DAY


async def test_the_newest_observations_are_what_was_sent(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fred")
        found = understood(await here.asked(feed, feed.poll(Want(SERIES, "observations"))))["observation"]
        assert sorted(found) == sorted(sent(here.exchange, "fred")["observation"])
        assert {row[0] for row in found} == set(SERIES) and {row[3] for row in found} == {"2026-03-11"}
        assert any(row[2] is None for row in found if row[0] == "DGS10") or date(2026, 3, 11).month != 1


async def test_history_tells_what_was_believed_when(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fred")
        want = Want(("GDP",), "observations", YEARS_AGO, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["observation"]
        assert sorted(found) == sorted(sent(here.exchange, "fred")["observation"])
        quarter = [row for row in found if row[1] == "2025-01-01"]
        assert len({row[3] for row in quarter}) == 4 and len({row[2] for row in quarter}) > 1


async def test_a_series_without_vintages_is_asked_as_it_is_believed_today(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fred")
        found = understood(await here.asked(feed, feed.history(Want(("SP500",), "observations", YEARS_AGO, NOON))))
        rows = found["observation"]
        assert sorted(rows) == sorted(sent(here.exchange, "fred")["observation"]) and len(rows) > 700
        assert [row[2] for row in rows if row[1] == "2025-12-25"] == [None]


async def test_a_series_that_there_is_not_and_keys_that_are_not_good(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fred")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "observations")))
        for key in (None, "short", "X" * 32):
            with pytest.raises(BadCredentials):
                other = here.feed("fred", key=key)
                await here.asked(other, other.poll(Want(("GDP",), "observations")))
        await tell(here.exchange, "terms?dialect=fred", revoke="*")
        with pytest.raises(BadCredentials):
            await here.asked(feed, feed.poll(Want(("GDP",), "observations")))


async def test_answers_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "fred"
    key = {"api_key": "a" * 32, "file_type": "json"}
    async with house(tmp_path) as here:
        here.exchange.dialects["fred"].clerk.terms = Terms()

        async def got(path: str, **params: str):
            return await ask(here.exchange, f"/fred/fred/series{path}", **key, **params)

        for path, file, many in (
            ("/observations", "observations_GDP_2025-01-20", "observations"),
            ("/vintagedates", "vintagedates_GDP", "vintage_dates"),
            ("", "series_GDP", "seriess"),
        ):
            ours, theirs = (await got(path, series_id="GDP")).json(), json.loads((folder / f"{file}.json").read_text())
            items, recorded = ours.pop(many), theirs.pop(many)
            assert shape(ours) == shape(theirs) and [key for key, _ in ours.items()] == list(theirs)
            assert type(items[0]) is type(recorded[0])
            assert not isinstance(items[0], dict) or list(items[0]) == list(recorded[0])
        bad = await got("/observations", series_id="NOPE")
        none = await ask(here.exchange, "/fred/fred/series", series_id="GDP", file_type="json")
        markup = await ask(here.exchange, "/fred/fred/series", series_id="NOPE", api_key="a" * 32)
    errors = folder / "errors"
    assert bad.json() == json.loads((errors / "400_series_does_not_exist.json").read_text())
    assert none.json() == json.loads((errors / "400_api_key_not_set.json").read_text())
    assert markup.status_code == 400 and markup.text.startswith("<?xml")
