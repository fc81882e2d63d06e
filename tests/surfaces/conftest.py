"""The house and clients that the tests of the surfaces use."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.surfaces.house import MemoryHouse
from tickhouse.core.clock import ManualClock
from tickhouse.surfaces.api import create_app


@pytest.fixture
def house() -> MemoryHouse:
    """Four hours of four symbols."""
    return MemoryHouse(240)


def client_of(house: MemoryHouse, **options: Any) -> httpx.AsyncClient:
    """A client that talks to the application without a network."""
    app = create_app(house, clock=ManualClock(house.now), **options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://tickhouse")


@pytest.fixture
async def client(house: MemoryHouse) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an open house."""
    async with client_of(house) as client:
        yield client


@pytest.fixture
def get(client: httpx.AsyncClient) -> Callable[..., Any]:
    """The JSON of an address that must answer 200."""

    async def ask(path: str, **parameters: Any) -> Any:
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
