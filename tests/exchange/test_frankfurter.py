"""The dialect of Frankfurter, as the feed understands it."""

import pytest

from tests.exchange.asking import DAY, NOON, house, sent, understood
from tickhouse.core.errors import UnknownSymbol
from tickhouse.core.model import Want

PAIRS = ("EUR-USD", "EUR-JPY", "GBP-USD")


@pytest.mark.parametrize("channel", ["rates", "latest"])
async def test_the_newest_rates_are_what_was_sent(tmp_path, channel):
    async with house(tmp_path) as here:
        feed = here.feed("frankfurter")
        pages = await here.asked(feed, feed.poll(Want(PAIRS, channel)))
        found = understood(pages)["quote"]
        assert found == sent(here.exchange, "frankfurter")["quote"] and [row[0] for row in found] == list(PAIRS)
        assert {row[1] for row in found} == {NOON // DAY * DAY} and 1.0 < found[0][2] < 1.2 and found[1][2] > 100


@pytest.mark.parametrize(("channel", "days"), [("rates", 8), ("latest", 6)])
async def test_the_rates_of_a_week_skip_its_weekend_in_the_older_interface(tmp_path, channel, days):
    async with house(tmp_path) as here:
        feed = here.feed("frankfurter")
        want = Want(PAIRS[:2], channel, NOON - 8 * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["quote"]
        assert found == sent(here.exchange, "frankfurter")["quote"] and len(found) == 2 * days


async def test_rates_go_back_to_1999_and_no_further(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("frankfurter")
        want = Want(("EUR-USD",), "latest", 0, 1_000_000_000_000_000)
        found = understood(await here.asked(feed, feed.history(want)))["quote"]
        assert found[0][1] == 915_408_000_000_000 and len(found) > 600


@pytest.mark.parametrize("channel", ["rates", "latest"])
async def test_a_currency_that_is_not_known_is_refused_or_left_out(tmp_path, channel):
    async with house(tmp_path) as here:
        feed = here.feed("frankfurter")
        with pytest.raises(UnknownSymbol, match="XXX"):
            await here.asked(feed, feed.poll(Want(("EUR-USD", "EUR-XXX"), channel)))


async def test_answers_have_the_shape_of_recorded_ones(tmp_path, recordings):
    import json

    from tests.exchange.talk import ask, one_shape, shape

    async with house(tmp_path) as here:
        new = (await ask(here.exchange, "/frankfurter/v2/rates", base="EUR", quotes="USD,GBP")).json()
        old = (await ask(here.exchange, "/frankfurter/v1/latest", base="EUR", symbols="USD,TRY,GBP")).json()
        bad = await ask(here.exchange, "/frankfurter/v2/rates", base="EUR", quotes="XXX")
    folder = recordings / "forex"
    recorded = json.loads((folder / "frankfurter" / "v2_rates_EUR_2026-09-13.json").read_text())
    assert one_shape(new) == one_shape(recorded)
    assert shape(old) == shape(json.loads((folder / "frankfurter" / "v1_latest_EUR_2026-09-18.json").read_text()))
    error = json.loads((folder / "errors" / "frankfurter_v2_422_invalid_currency.json").read_text())
    assert (bad.status_code, bad.json()) == (422, error)
