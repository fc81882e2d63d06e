"""The house and clients that the tests of the surfaces use."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.surfaces.house import MemoryHouse
from tickhouse.core.clock import ManualClock
from tickhouse.surfaces import Listener
from tickhouse.surfaces.api import create_app


class Lent:
    """The house of the test that runs: an application takes long to make, so one serves them all in turn."""

    def __init__(self, house: MemoryHouse) -> None:
        self.listeners: list[Listener] = []
        self.lend(house)

    def lend(self, house: MemoryHouse) -> None:
        """Stand for another house from now on; who listens hears that one."""
        self.house = house
        house.listeners = self.listeners

    def __getattr__(self, name: str) -> Any:
        return getattr(self.house, name)


@pytest.fixture(scope="session")
def four_hours() -> MemoryHouse:
    """Four hours of four symbols, made once."""
    return MemoryHouse(240)


@pytest.fixture
def house(four_hours: MemoryHouse) -> MemoryHouse:
    """Four hours of four symbols, to be changed at will."""
    return four_hours.fresh()


@pytest.fixture(scope="session")
def lent(four_hours: MemoryHouse) -> tuple[Lent, FastAPI]:
    """The one application, and what stands behind it."""
    lent = Lent(four_hours)
    return lent, create_app(lent, clock=ManualClock(four_hours.now))  # type: ignore[arg-type]


def client_of(house: MemoryHouse, **options: Any) -> httpx.AsyncClient:
    """A client of an application of its own, without a network between."""
    return _client(create_app(house, clock=ManualClock(house.now), **options))


def _client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://tickhouse")


@pytest.fixture
async def client(house: MemoryHouse, lent: tuple[Lent, FastAPI]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an open house."""
    lent[0].lend(house)
    async with _client(lent[1]) as client:
        yield client


@pytest.fixture
def get(client: httpx.AsyncClient) -> Callable[..., Any]:
    """The JSON of an address that must answer 200."""

    async def ask(path: str, **parameters: Any) -> Any:
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
