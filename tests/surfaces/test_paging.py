"""Pages: complete, in order, without repeats, and bound to the question they belong to."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.surfaces.house import MemoryHouse
from tickhouse.core.errors import BadQuery
from tickhouse.surfaces import cursors

PLACES = [
    ("/v1/bars/BTC-USDT?versions=true", ("start", "source", "version")),
    ("/v1/bars/BTC-USDT?start=2026-01-01T01:00&end=2026-01-01T02:00", ("start",)),
    ("/v1/indicators/BTC-USDT?interval=5m", ("start",)),
    ("/v1/anomalies", ("symbol", "interval", "start", "detector")),
    ("/v1/coverage/BTC-USDT", ("start",)),
    ("/v1/series/CPI?versions=true", ("date", "vintage")),
    ("/v1/series/cpi?start=2025-02-01", ("date",)),
    ("/v1/quality", ("at", "raw")),
    ("/v1/quality/metrics", ("at", "name")),
    ("/v1/ticks/BTC-USDT?start=2026-01-01T03:55", ("raw",)),
]


async def _pages(client: httpx.AsyncClient, address: str, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    address += ("&" if "?" in address else "?") + f"limit={limit}"
    while address:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= limit + 1
        assert (answer.links.get("next", {}).get("url") or None) == page["next"]
        rows += page["data"]
        address = page["next"]
    return rows


@pytest.mark.parametrize(("address", "key"), PLACES)
async def test_pages_give_every_row_once_and_in_order(
    client: httpx.AsyncClient, address: str, key: tuple[str, ...]
) -> None:
    whole = await _pages(client, address, 10_000)
    small = await _pages(client, address, 5)
    assert len(whole) > 5
    assert small == whole
    keys = [tuple(row[name] for name in key) for row in whole]
    assert len(set(keys)) == len(keys)


async def test_every_row_of_the_house_is_in_the_pages(client: httpx.AsyncClient, house: MemoryHouse) -> None:
    rows = await _pages(client, "/v1/bars/ETH-USDT?versions=true", 50)
    table = house.tables["bars"].to_pylist()
    stored = [row for row in table if row["symbol"] == "ETH-USDT" and row["interval"] == "1m"]
    assert len(rows) == len(stored)


async def test_ticks_of_one_moment_may_be_more_than_a_page(client: httpx.AsyncClient) -> None:
    """Four ticks share each second; pages of one, two and three rows still give each once."""
    whole = await _pages(client, "/v1/ticks/BTC-USDT?start=2026-01-01T03:59", 10_000)
    for limit in (1, 2, 3):
        assert await _pages(client, "/v1/ticks/BTC-USDT?start=2026-01-01T03:59", limit) == whole


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "ksQI", "🦜", "a" * 900])
async def test_a_cursor_that_is_not_ours_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get("/v1/bars/BTC-USDT", params={"cursor": cursor})
    assert answer.status_code == 400 and "cursor" in answer.json()["detail"]


async def test_a_cursor_of_another_question_is_refused(client: httpx.AsyncClient) -> None:
    given = (await client.get("/v1/bars/BTC-USDT?limit=1")).json()["next"]
    cursor = given.partition("cursor=")[2]
    for other in (f"/v1/bars/ETH-USDT?cursor={cursor}", f"/v1/bars/BTC-USDT?interval=5m&cursor={cursor}"):
        answer = await client.get(other)
        assert answer.status_code == 400 and "another question" in answer.json()["detail"]
    assert (await client.get(f"/v1/bars/BTC-USDT?limit=500&cursor={cursor}")).status_code == 200


@given(st.tuples(st.text(max_size=20), st.integers(-(1 << 61), 1 << 61)), st.text(max_size=20))
def test_a_cursor_comes_back_as_it_was(key: tuple[str, int], question: str) -> None:
    assert cursors.decode(cursors.encode(key, question), question, (str, int)) == key


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_cursors(text: str) -> None:
    try:
        cursors.decode(text, "q", (str, int))
    except BadQuery:
        return
    raise AssertionError("a text nobody gave out was taken")
