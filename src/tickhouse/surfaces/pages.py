"""What people see: the chart, the list of addresses, and the files both need; nothing comes from elsewhere."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tickhouse.surfaces.gate import COOKIE, MAY, MOST_BYTES
from tickhouse.surfaces.problems import KINDS
from tickhouse.surfaces.room import Room

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
YEAR = 31_536_000


class _Files(StaticFiles):
    """Static files that may be kept for ever when asked for by their version, and are checked each time when not."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        known = b"v=" in scope["query_string"]
        response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable" if known else "no-cache"
        return response


def install(app: FastAPI, room: Room) -> None:
    """Add the pages and their files to the application."""
    templates = _environment(room)
    app.mount("/static", _Files(directory=STATIC), name="static")

    def page(name: str, status: int = 200, **values: Any) -> Response:
        html = templates.get_template(name).render(simulated=room.simulated, **values)
        return Response(html, status, {"Cache-Control": "no-store"}, "text/html; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def chart(request: Request) -> Response:
        """The live chart. A key that came in the address is traded for a cookie first, so that it stays in no history."""
        if request.scope[MAY] and room.key and COOKIE not in request.cookies:
            return _let_in(room, request)
        return page("chart.html", locked=not request.scope[MAY], wrong=False)

    @app.post("/key", include_in_schema=False)
    async def key(request: Request) -> Response:
        """Trade the key for a cookie."""
        given = parse_qs((await _body(request)).decode("utf-8", "replace")).get("key", [""])[0]
        if not room.knows(given):
            return page("chart.html", 401, locked=True, wrong=True)
        return _let_in(room, request)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """Every address, every parameter, every problem."""
        return page("docs.html", operations=operations(app.openapi()), problems=KINDS)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return RedirectResponse("/static/icon.svg", 308)


def _let_in(room: Room, request: Request) -> Response:
    """Give the cookie and lead to the page."""
    response = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, room.pass_text, httponly=True, samesite="strict", secure=secure)
    return response


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"a request has at most {MOST_BYTES} bytes beside its address")
    return body


def _environment(room: Room) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["ticked"] = _ticked
    versions = {p: hashlib.blake2b(p.read_bytes(), digest_size=6).hexdigest() for p in STATIC.rglob("*") if p.is_file()}
    environment.globals["asset"] = lambda name: f"/static/{name}?v={versions[STATIC / name]}"
    return environment


def _ticked(text: str) -> Markup:
    """Text with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The addresses of an OpenAPI document as the page lists them."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parameters = [_parameter(p) for p in operation.get("parameters", ())]
            found.append({
                "path": path, "method": method.upper(), "tag": operation.get("tags", ["state"])[0],
                "id": operation["operationId"], "text": operation.get("description", ""), "parameters": parameters,
            })  # fmt: skip
    return found


def _parameter(given: Mapping[str, Any]) -> dict[str, Any]:
    schema = given.get("schema", {})
    options = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    first = options[0] if options else {}
    kind = " | ".join(map(str, first["enum"])) if "enum" in first else str(first.get("type", "string"))
    example = next(iter(first.get("examples", ())), None)
    return {
        "name": given["name"], "where": given["in"], "required": given.get("required", False), "kind": kind,
        "default": schema.get("default"), "text": given.get("description", ""), "example": example,
    }  # fmt: skip
