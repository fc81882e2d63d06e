"""Answers that say what went wrong, as RFC 9457 problems; the one place where errors become HTTP."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tickhouse.core.errors import BadQuery, BadSetting, NoData, SettingsError, Temporary, UnknownSymbol

MEDIA = "application/problem+json"

KINDS: dict[str, tuple[int, str, str]] = {
    "bad-parameter": (
        400,
        "A parameter cannot be used",
        "`errors` names each one, what was given and what is allowed.",
    ),
    "bad-query": (400, "The question cannot be answered as asked", "`detail` says which part, and what is allowed."),
    "bad-cursor": (400, "The cursor does not belong here", "Follow `next` as it was given, or leave the cursor out."),
    "no-key": (401, "A key is needed", "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`."),
    "no-data": (404, "There is nothing for this question", "`detail` says what there is instead."),
    "unknown-symbol": (404, "No such symbol here", "`detail` names the nearest known one; /v1/symbols lists all."),
    "no-such-address": (404, "No such address", "/docs lists every address."),
    "method": (405, "This address is only read", "Use GET."),
    "not-acceptable": (406, "None of the accepted formats can be given", "JSON, CSV and Arrow IPC streams can."),
    "too-large": (413, "The request is too large", "Requests carry their question in the address."),
    "internal": (500, "tickhouse failed", "The fault is ours and is in the log."),
    "busy": (503, "Not now", "Try again after the seconds in `Retry-After`."),
    "not-ready": (503, "The house is not ready", "`parts` says which part is not, and why."),
}
"""Every kind of problem: status, title, and what to do about it."""

_BY_STATUS = {401: "no-key", 404: "no-such-address", 405: "method", 406: "not-acceptable", 413: "too-large"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer to an error: its kind, one sentence, further members and headers."""

    kind: str
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def body(self, instance: str | None = None) -> bytes:
        """The problem as JSON."""
        status, title, _ = KINDS[self.kind]
        members = {"type": f"/docs#{self.kind}", "title": title, "status": status, "detail": self.detail}
        if instance:
            members["instance"] = instance
        return msgspec.json.encode({**members, **self.members})

    def response(self, request: Request | None = None) -> Response:
        """The problem as a response."""
        instance = request.url.path if request else None
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(self.body(instance), self.status, headers, MEDIA)


def of(error: Exception) -> Problem:
    """The problem that an error is.

    >>> of(NoData("there is no 1m bar of X at that time")).status
    404
    """
    if isinstance(error, BadSetting):
        one = {"parameter": error.key, "given": _shown(error.given), "allowed": error.expected}
        return Problem("bad-parameter", str(error), {"errors": [one]})
    if isinstance(error, BadQuery):
        return Problem("bad-query", str(error))
    if isinstance(error, UnknownSymbol):
        return Problem("unknown-symbol", str(error))
    if isinstance(error, NoData):
        return Problem("no-data", str(error))
    if isinstance(error, Temporary):
        wait = max(1, math.ceil(error.retry_after or 1.0))
        return Problem("busy", str(error), {"retry_after": wait}, {"Retry-After": str(wait)})
    if isinstance(error, SettingsError):
        return Problem("not-ready", str(error), headers={"Retry-After": "5"})
    return Problem("internal", "the answer could not be made; the log says why")


def install(app: FastAPI) -> None:
    """Make every expected error of the application a problem; the gate does the same with the others, and logs them."""

    async def known(request: Request, error: Exception) -> Response:
        return of(error).response(request)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return of_http(request, error).response(request)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return of_validation(request, error).response(request)

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    for kind in (BadQuery, SettingsError, Temporary, NoData, UnknownSymbol):
        app.add_exception_handler(kind, known)


def of_http(request: Request, error: HTTPException) -> Problem:
    """The problem of a refusal by the framework."""
    kind = _BY_STATUS.get(error.status_code, "bad-query" if error.status_code < 500 else "internal")
    details = {
        "no-such-address": f"there is nothing at {request.url.path}; /docs lists every address",
        "method": f"{request.method} is not possible here",
    }
    return Problem(kind, details.get(kind, str(error.detail)), headers=dict(error.headers or {}))


def of_validation(request: Request, error: RequestValidationError) -> Problem:
    """The problem of parameters that cannot be used: each one with what was given and what is allowed."""
    known = parameters(request)
    errors: list[dict[str, Any]] = []
    said: list[str] = []
    for one in error.errors():
        name = str(one["loc"][-1])
        given = None if one["type"] == "missing" else _shown(one.get("input"))
        if one["type"] == "extra_forbidden":
            allowed, what = ", ".join(known), f"there is no parameter {name!r}"
        elif one["type"] == "missing":
            allowed, what = "a value", f"{name}: not given, and it must be"
        else:
            allowed = one["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            what = f"{name}: got {given!r}, expected {allowed}"
        errors.append({"parameter": name, "given": given, "allowed": allowed})
        said.append(what)
    tail = f"; known are {', '.join(known)}" if known and any("there is no" in what for what in said) else ""
    detail = "; ".join(said) + tail
    return Problem("bad-parameter", detail, {"errors": errors})


def parameters(request: Request) -> list[str]:
    """The names of the query parameters that the route of a request knows."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    names: list[str] = []
    for param in getattr(dependant, "query_params", ()):
        fields = getattr(param.field_info.annotation, "model_fields", None)
        names += [f.alias or n for n, f in fields.items()] if fields else [param.alias]
    return names


def _shown(given: Any) -> Any:
    """What was given, cut to a length that can be shown."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    text = given if isinstance(given, str | int | float | None) else str(given)
    return text[:120] if isinstance(text, str) else text
