"""The application: REST, WebSocket and pages over one house."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from tickhouse import __version__
from tickhouse.core.clock import Clock, SystemClock
from tickhouse.core.secrets import Secret
from tickhouse.surfaces import House, pages, problems, rest, schemas, stream
from tickhouse.surfaces.gate import Gate
from tickhouse.surfaces.live import Hub
from tickhouse.surfaces.room import Room

DESCRIPTION = """Market data that knows whether it is right: every bar says how complete it is, which version it is, and what it
was made of. Times are RFC 3339 in UTC; NaN is null. Rows come in pages: follow `next`. Live changes: WebSocket /v1/stream."""
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    house: House, *, key: Secret | None = None, max_clients: int = 2000, metrics: Callable[[], bytes] | None = None,
    clock: Clock | None = None,
) -> FastAPI:  # fmt: skip
    """The application over a house.

    With `key`, all but health, readiness, documents and the empty page needs it. `metrics` gives the Prometheus text of
    `/metrics`. At most `max_clients` WebSockets are open at a time.
    """
    room = Room(house, clock or SystemClock(), key, metrics)
    hub = Hub(room, max_clients)
    room.stats = hub.stats

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with hub.running():
            yield

    app = FastAPI(
        title="tickhouse", version=__version__, description=DESCRIPTION, openapi_url="/v1/openapi.json", docs_url=None,
        redoc_url=None, lifespan=lifespan,
    )  # fmt: skip
    app.state.hub = hub
    problems.install(app)
    app.include_router(rest.router(room))
    app.include_router(stream.router(hub))
    pages.install(app, room)

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        body = await room.light.do(metrics) if metrics else b""
        return Response(body, media_type=TEXT, headers={"Cache-Control": "no-store"})

    original = app.openapi
    app.openapi = lambda: app.openapi_schema or _documented(app, original())  # type: ignore[method-assign]
    app.add_middleware(Gate, room=room)
    return app


def _documented(app: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with our problems instead of the framework's, and the key."""
    shapes = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        shapes.pop(name, None)
    shapes["Problem"] = schemas.Problem.model_json_schema()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.get("responses", {}).pop("422", None)
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{}, {"bearer": []}, {"header": []}]
    app.openapi_schema = document
    return document
