"""Every refusal is a problem (RFC 9457) that says what is wrong and what is allowed."""

from typing import Any

import httpx
import pytest

from tests.surfaces.conftest import client_of
from tests.surfaces.house import MemoryHouse, busy
from tickhouse.core.errors import CorruptLog, DiskFull, UnknownSymbol

BAD = [
    ("/v1/bars/%20", 400, ["symbol", "such as AAPL"]),
    ("/v1/bars/BTC-USDT?interval=1x", 400, ["interval", "'1x'", "1m, 5m"]),
    ("/v1/bars/BTC-USDT?start=yesterday", 400, ["start", "'yesterday'", "2026-11-20T14:31"]),
    ("/v1/bars/BTC-USDT?start=99999-01-01", 400, ["start"]),
    ("/v1/bars/BTC-USDT?start=-0m", 400, ["start"]),
    ("/v1/bars/BTC-USDT?start=2026-01-02&end=2026-01-01", 400, ["start", "not before end"]),
    ("/v1/bars/BTC-USDT?limit=0", 400, ["limit", "greater than or equal to 1"]),
    ("/v1/bars/BTC-USDT?limit=10001", 400, ["limit", "10000"]),
    ("/v1/bars/BTC-USDT?limit=ten", 400, ["limit", "valid integer"]),
    ("/v1/bars/BTC-USDT?last=0", 400, ["last", "6h"]),
    ("/v1/bars/BTC-USDT?last=5&start=2026-01-01", 400, ["last", "start"]),
    ("/v1/bars/BTC-USDT?intervall=1m", 400, ["intervall", "known are", "interval"]),
    ("/v1/bars/BTC-USDT?interval=1m&interval=5m", 400, ["interval", "one value"]),
    ("/v1/bars/BTC-USDT?format=xml", 400, ["format", "json"]),
    ("/v1/bars/BTC-USDT?versions=perhaps", 400, ["versions", "boolean"]),
    ("/v1/bars/BTC-USDT?indicators=DROP TABLE", 400, ["indicators", "sma(20)"]),
    ("/v1/bars/BTC-USDT?indicators=smaa(20)", 400, ["indicators", "'smaa(20)'", "did you mean sma", "bollinger(20,2)"]),
    ("/v1/bars/BTC-USDT?indicators=sma(0)", 400, ["indicators", "'sma(0)'", "from 1 to 10000"]),
    ("/v1/indicators/BTC-USDT?indicators=nothing", 400, ["indicators", "'nothing'", "sma(20)"]),
    ("/v1/indicators/BTC-USDT?indicators=sma(7)", 400, ["sma(7)", "bars"]),
    ("/v1/bars/BTC-USDT?source=a/b", 400, ["source", "pattern"]),
    ("/v1/bars/BTC-USDT?interval=7m", 404, ["7m", "1m, 5m"]),
    ("/v1/bars/BTC-USDD", 404, ["BTC-USDD", "did you mean BTC-USDT"]),
    ("/v1/ticks/NOPE", 404, ["NOPE", "BTC-USDT"]),
    ("/v1/ticks/BTC-USDT?last=5&start=2026-01-01", 400, ["last"]),
    ("/v1/coverage/NOPE", 404, ["NOPE"]),
    ("/v1/latest?symbols=NOPE", 404, ["NOPE"]),
    ("/v1/latest?symbols=,", 400, ["symbols"]),
    ("/v1/symbols?symbols=NOPE", 404, ["NOPE"]),
    ("/v1/anomalies?symbols=NOPE", 404, ["NOPE"]),
    ("/v1/trace/BTC-USDT", 400, ["start: not given, and it must be"]),
    ("/v1/trace/BTC-USDT?start=2020-01-01", 404, ["no 1m bar"]),
    ("/v1/trace/NOPE?start=2026-01-01", 404, ["NOPE"]),
    ("/v1/trace/BTC-USDT?start=2026-01-01&limit=5000", 400, ["limit", "1000"]),
    ("/v1/status?verbose=1", 400, ["verbose"]),
    ("/v1/nothing", 404, ["/v1/nothing", "/docs"]),
    ("/v2/bars", 404, ["/docs"]),
    ("/static/../api.py", 404, []),
]


def _checked(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status and body["title"] and body["detail"] and body["type"].startswith("/docs#")
    return body


@pytest.mark.parametrize(("address", "status", "words"), BAD)
async def test_a_bad_question_gets_a_problem_that_helps(
    client: httpx.AsyncClient, address: str, status: int, words: list[str]
) -> None:
    body = _checked(await client.get(address), status)
    assert all(word in body["detail"] for word in words), body["detail"]


async def test_wrong_parameters_are_listed_one_by_one(client: httpx.AsyncClient) -> None:
    body = _checked(await client.get("/v1/bars/BTC-USDT?limit=0&interval=x&foo=1"), 400)
    assert [(one["parameter"], one["given"]) for one in body["errors"]] == [
        ("limit", "0"),
        ("interval", "x"),
        ("foo", "1"),
    ]
    assert all(one["allowed"] for one in body["errors"])


async def test_an_address_is_only_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/bars/BTC-USDT")
    _checked(answer, 405)
    assert "GET" in answer.headers["allow"]


async def test_an_impossible_accept_is_406(client: httpx.AsyncClient) -> None:
    for address in ("/v1/bars/BTC-USDT", "/v1/latest", "/v1/status"):
        body = _checked(await client.get(address, headers={"Accept": "image/png"}), 406)
        assert "application/json" in body["detail"]


async def test_a_large_request_is_refused(client: httpx.AsyncClient) -> None:
    _checked(await client.request("GET", "/v1/latest", content=b"x" * 20_000), 413)
    _checked(await client.post("/key", content=b"x" * 20_000), 413)

    async def endless() -> Any:
        for _ in range(50):
            yield b"key=" + b"x" * 1000

    _checked(await client.post("/key", content=endless()), 413)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (busy(), 503, "busy"), (UnknownSymbol("no such symbol X"), 404, "unknown-symbol"),
        (CorruptLog("secret place"), 500, "internal"),
        (DiskFull("the disk is full"), 500, "internal"), (ZeroDivisionError("secret place"), 500, "internal"),
    ],
)  # fmt: skip
async def test_errors_of_the_house_are_mapped_at_one_place(
    client: httpx.AsyncClient, house: MemoryHouse, error: Exception, status: int, kind: str, capsys: Any
) -> None:
    """What waiting can help says after how long; what is our fault says nothing of the inside, which is in the log."""
    house.broken = error
    answer = await client.get("/v1/bars/BTC-USDT")
    body = _checked(answer, status)
    assert body["type"] == f"/docs#{kind}" and "secret" not in answer.text
    if kind == "busy":
        assert answer.headers["retry-after"] == "3" and body["retry_after"] == 3
    assert ("request failed" in capsys.readouterr().out) == (status == 500)


async def test_every_problem_is_described_where_its_type_points(client: httpx.AsyncClient) -> None:
    body = _checked(await client.get("/v1/bars/NOPE"), 404)
    page = (await client.get("/docs")).text
    assert f'id="{body["type"].partition("#")[2]}"' in page


async def test_an_empty_house_says_so() -> None:
    house = MemoryHouse(2, symbols={})
    async with client_of(house) as client:
        body = _checked(await client.get("/v1/bars/BTC-USDT"), 404)
        assert "empty so far" in body["detail"]
        assert (await client.get("/v1/latest")).json()["data"] == []
        assert (await client.get("/v1/symbols?format=csv")).status_code == 200
