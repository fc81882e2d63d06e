"""Who may ask, what headers answers have, and how much may be asked at a time."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import httpx
import pyarrow as pa
import pytest

from tests.surfaces.conftest import client_of
from tests.surfaces.house import MemoryHouse
from tickhouse.core.errors import Busy
from tickhouse.core.model import Query
from tickhouse.core.secrets import Secret
from tickhouse.surfaces.desk import Desk

KEY = "correct horse"


@pytest.fixture
async def locked(house: MemoryHouse) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a house with a key."""
    async with client_of(house, key=Secret(KEY), metrics=lambda: b"x 1\n") as client:
        yield client


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}]
)
async def test_a_key_in_a_header_opens(locked: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await locked.get("/v1/latest", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": f"Basic {KEY}"}]
)
@pytest.mark.parametrize("path", ["/v1/latest", "/v1/status", "/metrics", "/v1/nothing"])
async def test_without_the_key_all_data_are_closed(
    locked: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await locked.get(path, headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json" and KEY not in answer.text


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready", "/v1/openapi.json", "/docs", "/", "/static/icon.svg"])
async def test_what_holds_no_data_is_open(locked: httpx.AsyncClient, path: str) -> None:
    assert (await locked.get(path)).status_code == 200


async def test_readiness_gives_its_reasons_only_to_those_with_the_key(locked: httpx.AsyncClient) -> None:
    assert "parts" not in (await locked.get("/v1/ready")).json()
    assert "parts" in (await locked.get("/v1/ready", headers={"X-API-Key": KEY})).json()


async def test_the_page_trades_the_key_for_a_cookie_that_is_not_the_key(locked: httpx.AsyncClient) -> None:
    assert "needs its key" in (await locked.get("/")).text
    wrong = await locked.post("/key", data={"key": "no"})
    assert wrong.status_code == 401 and "does not fit" in wrong.text
    right = await locked.post("/key", data={"key": KEY})
    cookie = right.headers["set-cookie"]
    assert right.status_code == 303 and "HttpOnly" in cookie and "SameSite=strict" in cookie and KEY not in cookie
    assert (await locked.get("/v1/latest")).status_code == 200
    assert 'id="chart"' in (await locked.get("/")).text
    locked.cookies.clear()
    locked.cookies.set("tickhouse", "0" * 64)
    assert (await locked.get("/v1/latest")).status_code == 401


async def test_a_key_in_the_address_of_the_page_becomes_a_cookie(locked: httpx.AsyncClient) -> None:
    answer = await locked.get("/", params={"key": KEY})
    assert (
        answer.status_code == 303 and answer.headers["location"] == "/" and "tickhouse=" in answer.headers["set-cookie"]
    )


async def test_every_answer_has_the_headers_that_keep_others_out(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/v1/latest", "/v1/nothing", "/static/app/main.js"):
        headers = (await client.get(path)).headers
        assert (
            "default-src 'none'" in headers["content-security-policy"]
            and "unsafe" not in headers["content-security-policy"]
        )
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["x-tickhouse-simulated"] == "true"


async def test_the_header_says_when_data_are_real(house: MemoryHouse) -> None:
    house.simulated = False
    async with client_of(house) as client:
        answer = await client.get("/v1/latest")
        assert answer.headers["x-tickhouse-simulated"] == "false" and answer.json()["simulated"] is False
        assert "data-simulated" not in (await client.get("/")).text


async def test_files_are_kept_for_ever_by_version_and_checked_without(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    address = page.split('src="')[1].split('"')[0]
    assert "immutable" in (await client.get(address)).headers["cache-control"]
    assert (await client.get(address.partition("?")[0])).headers["cache-control"] == "no-cache"


async def test_pages_ask_nothing_of_others(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs"):
        page = (await client.get(path)).text
        assert 'src="http' not in page and 'rel="stylesheet" href="http' not in page and "<style" not in page
        assert "<script>" not in page


async def test_a_desk_that_is_full_says_so_at_once() -> None:
    """Two threads and a queue of one: the fourth question is refused, the others are answered."""
    desk, go = Desk(2, 1), threading.Event()
    waiting = [asyncio.create_task(desk.do(go.wait, 5)) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(Busy):
        await desk.do(go.wait, 5)
    go.set()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert await desk.do(lambda: 5) == 5


async def test_a_question_that_hangs_is_given_up_and_so_are_those_that_wait_for_its_thread() -> None:
    """The caller is told in time; the thread is taken until the answer is there, and then answers others again."""
    desk, go = Desk(1, 5, longest=0.2), threading.Event()
    began = time.monotonic()
    for refused in await asyncio.gather(*(desk.do(go.wait, 30) for _ in range(3)), return_exceptions=True):
        assert isinstance(refused, Busy) and refused.retry_after, refused
    assert time.monotonic() - began < 2
    assert desk.taken == 1, "those that only waited are gone"
    go.set()
    await asyncio.sleep(0.1)
    assert desk.taken == 0
    assert await desk.do(lambda: 5) == 5


async def test_slow_questions_do_not_stop_the_loop_or_the_small_ones(
    client: httpx.AsyncClient, house: MemoryHouse
) -> None:
    """While every thread for tables is stuck, newest prices and health still answer, and too many get 503."""
    go, bars = threading.Event(), house.bars

    def slow(query: Query) -> pa.Table:
        go.wait(10)
        return bars(query)

    house.bars = slow  # type: ignore[method-assign]
    stuck = [asyncio.create_task(client.get("/v1/bars/BTC-USDT?last=1")) for _ in range(70)]
    await asyncio.sleep(0.2)
    assert (await asyncio.wait_for(client.get("/v1/latest"), 2)).status_code == 200
    assert (await asyncio.wait_for(client.get("/v1/health"), 2)).status_code == 200
    go.set()
    answers = await asyncio.gather(*stuck)
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 2 and refused[0].headers["retry-after"] == "1"
    assert {answer.status_code for answer in answers} == {200, 503}
