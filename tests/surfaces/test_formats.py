"""JSON, CSV and Arrow say the same; the client's wish decides which it gets."""

import gzip
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from tickhouse.core.times import rfc3339
from tickhouse.core.values import column_name
from tickhouse.surfaces.formats import negotiate, plain, time_texts

ARROW = "application/vnd.apache.arrow.stream"
TABLES = ["/v1/bars/BTC-USDT?indicators=all", "/v1/ticks/BTC-USDT?", "/v1/anomalies?", "/v1/coverage/BTC-USDT?", "/v1/quality?",
          "/v1/quality/metrics?", "/v1/indicators/BTC-USDT?last=30", "/v1/latest?", "/v1/symbols?"]  # fmt: skip


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("indicators", "values"):
        row = {**row, **{column_name(value): number for value, number in (row.get(name) or {}).items()}}
        row.pop(name, None)
    return {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()}


@pytest.mark.parametrize("address", TABLES)
async def test_arrow_says_what_json_says(client: httpx.AsyncClient, address: str) -> None:
    rows = [_flat(row) for row in (await client.get(address)).json()["data"]]
    answer = await client.get(address, headers={"Accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.metadata[b"simulated"] == b"true"
    got = [{n: v for n, v in plain(row).items() if v is not None} for row in table.to_pylist()]
    assert got == [{n: v for n, v in row.items() if v is not None} for row in rows] and rows


@pytest.mark.parametrize("address", TABLES)
async def test_csv_says_what_json_says(client: httpx.AsyncClient, address: str) -> None:
    rows = [_flat(row) for row in (await client.get(address)).json()["data"]]
    answer = await client.get(f"{address}&format=csv")
    assert (
        answer.headers["content-type"] == "text/csv; charset=utf-8"
        and answer.headers["x-tickhouse-simulated"] == "true"
    )
    frame = pl.read_csv(io.BytesIO(answer.content), infer_schema_length=None)
    assert frame.height == len(rows)
    for got, row in zip(frame.to_dicts(), rows, strict=True):
        assert {n: v for n, v in got.items() if v is not None} == {n: v for n, v in row.items() if v is not None}


async def test_indicator_columns_are_null_where_a_bar_has_none(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/bars/BTC-USDT?limit=30&indicators=sma(20)&format=arrow")
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table["sma(20)"].null_count == 19


async def test_an_answer_is_compressed_for_those_who_can(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/v1/bars/BTC-USDT", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    plain_one = await client.get("/v1/bars/BTC-USDT", headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip" and "content-encoding" not in plain_one.headers
    assert gzip.decompress(raw) == plain_one.content and len(raw) < len(plain_one.content) / 2
    refused = await client.get("/v1/bars/BTC-USDT", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"), ("", "json"), ("*/*", "json"), ("text/csv", "csv"), (ARROW, "arrow"), ("application/*", "json"),
        ("text/html, text/csv;q=0.5, */*;q=0.1", "csv"), ("application/json;q=0, */*", "csv"),
        ("text/csv;q=x, application/json", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
    ],
)  # fmt: skip
def test_the_accept_header_decides(accept: str | None, form: str) -> None:
    assert negotiate(accept, None) == form


def test_the_parameter_comes_before_the_header() -> None:
    assert negotiate("text/csv", "arrow") == "arrow"


def test_what_cannot_be_given_is_406_and_says_what_can() -> None:
    with pytest.raises(HTTPException) as refused:
        negotiate("image/png", None)
    assert refused.value.status_code == 406 and "text/csv" in refused.value.detail


@given(st.lists(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), max_size=20))
def test_times_of_a_column_are_those_of_single_values(times: list[int]) -> None:
    assert time_texts(np.array(times, np.int64)) == [rfc3339(us) for us in times]


def test_a_nested_answer_has_texts_for_times_and_leaves_numbers() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    found = plain({"at": moment, "start": 5, "trades": 5, "rows": [{"end": 1_000_000, "value": np.float64(2)}]})
    assert found["at"] == "2026-01-01T00:00:00Z" and found["trades"] == 5
    assert found["rows"] == [{"end": "1970-01-01T00:00:01Z", "value": 2.0}]
