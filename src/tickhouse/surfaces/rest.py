"""The addresses under /v1 that are asked and answered once."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from tickhouse.core.asking import question
from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.times import instant, rfc3339
from tickhouse.surfaces import schemas
from tickhouse.surfaces.formats import MEDIA, Answer, Asked, plain
from tickhouse.surfaces.gate import MAY
from tickhouse.surfaces.problems import MEDIA as PROBLEM
from tickhouse.surfaces.problems import Problem
from tickhouse.surfaces.queries import (
    AnomaliesAsk,
    BarsAsk,
    CoverageAsk,
    IndicatorsAsk,
    LatestAsk,
    MetricsAsk,
    Nothing,
    QualityAsk,
    ReconcileAsk,
    Series,
    SeriesAsk,
    Symbol,
    TicksAsk,
    TraceAsk,
)
from tickhouse.surfaces.room import Room
from tickhouse.surfaces.tables import Page, Where, encode

LISTS = ("symbols", "indicators")


def _once(request: Request) -> None:
    """Refuse a parameter that is given twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1 and name not in LISTS:
            raise BadSetting(name, ", ".join(request.query_params.getlist(name)), "one value")


def _problem(detail: str) -> dict[str, Any]:
    return {"description": detail, "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _responses(model: Any, many: bool = True) -> dict[int | str, dict[str, Any]]:
    shown: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer.", "model": model},
        304: {"description": "The client has it already."},
        400: _problem("A parameter cannot be used; the answer says which and what is allowed."),
        401: _problem("A key is needed."),
        404: _problem("There is no such symbol, or nothing for the question."),
        406: _problem("None of the accepted formats can be given."),
        413: _problem("The request is too large."),
        503: _problem("Too busy; see Retry-After."),
    }
    if many:
        formats = {"text/csv": {"schema": {"type": "string"}}}
        formats["application/vnd.apache.arrow.stream"] = {"schema": {"type": "string", "format": "binary"}}
        shown[200]["content"] = formats
    return shown


Named = Annotated[Symbol, Path(description="A symbol such as BTC-USDT; btc-usdt and btc_usdt are the same.")]


def router(room: Room) -> APIRouter:
    """Every address of tables and states over one room."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(_once)])
    _tables(routes, room)
    _lists(routes, room)
    _states(routes, room)
    return routes


async def _paged(room: Room, request: Request, form: str | None, make: Callable[[Where], Page]) -> Response:
    """Ask for a page in a worker thread, and encode it there too."""
    asked = Asked.of(request.headers, form)
    where = Where(request.url.path, tuple(request.query_params.multi_items()))

    def work() -> Response:
        return encode(make(where), asked.form, room.simulated).response(asked)

    return await room.heavy.do(work)


def _tables(routes: APIRouter, room: Room) -> None:
    tables = room.tables

    @routes.get("/bars/{symbol}", tags=["data"], responses=_responses(schemas.Rows[schemas.Bar]))
    async def bars(request: Request, symbol: Named, ask: Annotated[BarsAsk, Query()]) -> Response:
        """Bars of a symbol, oldest first, with the forming one; corrected ones as they are now, or `as_of` a moment."""
        return await _paged(room, request, ask.format, lambda where: tables.bars(symbol, ask, where))

    @routes.get("/ticks/{symbol}", tags=["data"], responses=_responses(schemas.Rows[schemas.Tick]))
    async def ticks(request: Request, symbol: Named, ask: Annotated[TicksAsk, Query()]) -> Response:
        """Ticks of a symbol by event time. With neither `start`, `end` nor `last`: the newest `limit`."""
        return await _paged(room, request, ask.format, lambda where: tables.ticks(symbol, ask, where))

    @routes.get("/indicators/{symbol}", tags=["data"], responses=_responses(schemas.Rows[schemas.IndicatorRow]))
    async def indicators(request: Request, symbol: Named, ask: Annotated[IndicatorsAsk, Query()]) -> Response:
        """Indicators of the closed bars of a symbol."""
        return await _paged(room, request, ask.format, lambda where: tables.indicators(symbol, ask, where))

    @routes.get("/anomalies", tags=["data"], responses=_responses(schemas.Rows[schemas.Anomaly]))
    async def anomalies(request: Request, ask: Annotated[AnomaliesAsk, Query()]) -> Response:
        """What the detectors said, by symbol, interval and start."""
        return await _paged(room, request, ask.format, lambda where: tables.anomalies(ask, where))

    @routes.get("/series/{series}", tags=["data"], responses=_responses(schemas.Rows[schemas.Value]))
    async def series(
        request: Request,
        series: Annotated[Series, Path(description="A series such as GDP.")],
        ask: Annotated[SeriesAsk, Query()],
    ) -> Response:
        """Values of an economic series by date, oldest first: as they are known now, or `as_of` a day, or every vintage."""
        return await _paged(room, request, ask.format, lambda where: tables.series(series, ask, where))

    @routes.get("/coverage/{symbol}", tags=["trust"], responses=_responses(schemas.Rows[schemas.Stretch]))
    async def coverage(request: Request, symbol: Named, ask: Annotated[CoverageAsk, Query()]) -> Response:
        """What is known about the time of a symbol: live, quiet, blind, delayed, backfilled."""
        return await _paged(room, request, ask.format, lambda where: tables.coverage(symbol, ask, where))

    @routes.get("/quality", tags=["trust"], responses=_responses(schemas.Findings))
    async def quality(request: Request, ask: Annotated[QualityAsk, Query()]) -> Response:
        """What the quality checks found, by time; in JSON with the newest value of each metric."""
        return await _paged(room, request, ask.format, lambda where: tables.findings(ask.symbols, ask, where))

    @routes.get("/quality/metrics", tags=["trust"], responses=_responses(schemas.Rows[schemas.Metric]))
    async def metrics(request: Request, ask: Annotated[MetricsAsk, Query()]) -> Response:
        """Quality as a time series: the ledger and the lags of each source."""
        return await _paged(room, request, ask.format, lambda where: tables.metrics(ask, where))


def _lists(routes: APIRouter, room: Room) -> None:
    @routes.get("/latest", tags=["data"], responses=_responses(schemas.Rows[schemas.Price]))
    async def latest(request: Request, ask: Annotated[LatestAsk, Query()]) -> Response:
        """The newest price of each symbol."""

        def rows() -> list[dict[str, Any]]:
            found = sorted(room.house.latest(ask.symbols), key=lambda row: (row["symbol"], row["source"]))
            for symbol in set(ask.symbols) - {row["symbol"] for row in found}:
                room.catalog.explain(symbol)
            return [{name: row.get(name) for name in schemas.Price.model_fields} for row in found]

        return await _listed(room, request, ask.format, rows)

    @routes.get("/symbols", tags=["data"], responses=_responses(schemas.Rows[schemas.Known]))
    async def symbols(request: Request, ask: Annotated[LatestAsk, Query()]) -> Response:
        """Every symbol of this house, with its source, intervals and the span of its bars."""

        def rows() -> list[dict[str, Any]]:
            for symbol in ask.symbols:
                room.catalog.explain(symbol)
            return [row for row in room.catalog.rows() if not ask.symbols or row["symbol"] in ask.symbols]

        return await _listed(room, request, ask.format, rows)


async def _listed(room: Room, request: Request, form: str | None, make: Callable[[], list[dict[str, Any]]]) -> Response:
    """A short list of rows in any format."""
    import pyarrow as pa

    asked = Asked.of(request.headers, form)

    def work() -> Response:
        rows = plain(make())
        if asked.form == "json":
            body = msgspec.json.encode({"simulated": room.simulated, "data": rows, "next": None})
            return Answer(body).response(asked)
        flat = [{k: " ".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
        return encode(Page(pa.Table.from_pylist(flat)), asked.form, room.simulated).response(asked)

    return await room.light.do(work)


def _states(routes: APIRouter, room: Room) -> None:
    @routes.get("/trace/{symbol}", tags=["trust"], responses=_responses(schemas.Trace, many=False))
    async def trace(request: Request, symbol: Named, ask: Annotated[TraceAsk, Query()]) -> Response:
        """A bar, its versions, its coverage, and the raw messages it was made of."""

        def work() -> Any:
            start = instant(ask.start, room.clock.now())
            try:
                found = room.house.trace(symbol, start, ask.interval, ask.source, ask.limit)
            except NoData:
                room.catalog.explain(symbol, ask.interval)
                raise
            return {"simulated": room.simulated, **plain(found)}

        return await _one(room, request, work)

    @routes.get("/reconcile/{symbol}", tags=["trust"], responses=_responses(schemas.Reconciled, many=False))
    async def reconcile(request: Request, symbol: Named, ask: Annotated[ReconcileAsk, Query()]) -> Response:
        """How two sources differ on the same bars of a symbol."""

        def work() -> Any:
            query = question(room.clock.now(), symbol, start=ask.start, end=ask.end, interval=ask.interval)
            try:
                found = room.house.reconcile(query, ask.a, ask.b, ask.worst)
            except NoData:
                room.catalog.explain(symbol, ask.interval)
                raise
            return {"simulated": room.simulated, **plain(found)}

        return await _one(room, request, work)

    @routes.get("/status", tags=["state"], responses=_responses(schemas.Status, many=False))
    async def status(request: Request, ask: Annotated[Nothing, Query()]) -> Response:
        """What is going on: the ledger of each source, positions, lags, roles."""

        def work() -> Any:
            found = plain(room.house.status(), frozenset())
            return {"at": rfc3339(room.clock.now()), **found, "simulated": room.simulated, "stream": room.stats()}

        return await _one(room, request, work)

    @routes.get("/health", tags=["state"], responses=_responses(schemas.Health, many=False))
    async def health(ask: Annotated[Nothing, Query()]) -> Response:
        """That the process answers; nothing is asked of the house."""
        return Response(b'{"ok":true}', headers={"Cache-Control": "no-store"}, media_type=MEDIA["json"])

    @routes.get("/ready", tags=["state"], responses=_responses(schemas.Ready, many=False))
    async def ready(request: Request, ask: Annotated[Nothing, Query()]) -> Response:
        """Whether the house can answer; 503 with the reasons when it cannot."""
        found = plain(dict(await room.light.do(room.house.health)), frozenset())
        is_ready = bool(found.pop("ready", False))
        members = {"ready": is_ready, "parts": found} if request.scope[MAY] else {"ready": is_ready}
        if is_ready:
            return Response(
                msgspec.json.encode(members), headers={"Cache-Control": "no-store"}, media_type=MEDIA["json"]
            )
        bad = [f"{name}: {p['message']}" for name, p in found.items() if isinstance(p, dict) and not p.get("ok")]
        detail = "; ".join(bad) if bad and request.scope[MAY] else "the house is not ready"
        return Problem("not-ready", detail, members, {"Retry-After": "5"}).response(request)


async def _one(room: Room, request: Request, make: Callable[[], Any]) -> Response:
    """One object as JSON."""
    asked = Asked.of(request.headers, None, ("json",))
    return await room.heavy.do(lambda: Answer(msgspec.json.encode(make())).response(asked))
