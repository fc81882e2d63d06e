"""The OpenAPI document: complete, true, and no question it allows ends in a 5xx."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.examples import tried
from tests.surfaces.house import MemoryHouse
from tickhouse.core.clock import ManualClock
from tickhouse.surfaces.api import create_app

HOUSE = MemoryHouse(30)
APP = create_app(HOUSE, clock=ManualClock(HOUSE.now))
DOCUMENT = schemathesis.openapi.from_asgi("/v1/openapi.json", APP)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.slow
@DOCUMENT.parametrize()
@settings(max_examples=tried(60), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_question_the_document_allows_breaks_it(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)


async def test_the_document_lists_every_address_with_its_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/v1/openapi.json")).json()
    symbol = {f"/v1/{name}/{{symbol}}" for name in ("ticks", "bars", "indicators", "coverage", "trace", "reconcile")}
    plain = ("latest", "anomalies", "quality", "quality/metrics", "symbols", "status", "health", "ready")
    wanted = symbol | {"/v1/series/{series}"} | {f"/v1/{name}" for name in plain}
    assert set(document["paths"]) == wanted
    for path, operations in document["paths"].items():
        responses = operations["get"]["responses"]
        assert {"200", "400", "401", "404", "406", "503"} <= set(responses) and "422" not in responses, path
        assert "application/problem+json" in responses["400"]["content"]
    assert (
        "Problem" in document["components"]["schemas"]
        and "HTTPValidationError" not in document["components"]["schemas"]
    )


async def test_the_page_of_addresses_lists_every_parameter(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    document = (await client.get("/v1/openapi.json")).json()
    for path, operations in document["paths"].items():
        assert path in page
        assert all(f"<code>{p['name']}</code>" in page for p in operations["get"].get("parameters", ()))
