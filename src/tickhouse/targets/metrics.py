"""`/metrics` and `/health` of one process on an address of its own, for a process that serves no pages."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from tickhouse.core import observe
from tickhouse.core.errors import BadSetting
from tickhouse.core.settings import MetricsSettings, guard_public

STUCK_SECONDS = 60.0
"""A role that has not been at work for so long is not well."""
Start = Callable[[str, list[tuple[str, str]]], Any]


@contextmanager
def serving(rules: MetricsSettings) -> Iterator[str | None]:
    """Serve `/metrics`, and `/health` without a key, in a thread of its own while the block lasts; gives the address of the
    metrics, None when it is off.

    Raises `BadSetting` for an address that is taken, or that others can reach without a key.
    """
    if rules.port is None:
        yield None
        return
    guard_public(rules, "metrics")
    try:
        server = make_server(rules.host, rules.port, _application(rules), ThreadingWSGIServer, _Quiet)
    except OSError as error:
        given = f"{rules.host}:{rules.port}"
        raise BadSetting("metrics.port", given, f"an address that is free ({error.strerror})") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{rules.host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(rules: MetricsSettings) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    key = rules.key.reveal().encode() if rules.key else None

    def answer(asked: dict[str, Any], start: Start) -> Iterable[bytes]:
        given = asked.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ").encode("latin-1")
        if asked["PATH_INFO"] == "/health":
            status, kind, body = _health()
        elif key is not None and not compare_digest(given, key):
            status, kind, body = "401 Unauthorized", "text/plain", b"a key is needed: Authorization: Bearer KEY\n"
        elif asked["PATH_INFO"] != "/metrics":
            status, kind, body = "404 Not Found", "text/plain", b"/metrics and /health are here, and nothing else\n"
        else:
            status, kind, body = "200 OK", observe.CONTENT_TYPE, observe.exposition()
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [body]

    return answer


def _health() -> tuple[str, str, bytes]:
    """Bad when a role of this process has not been at work for long, as when its database is away."""
    pulse = observe.pulse()
    stuck = [role for role, seconds in pulse.items() if seconds > STUCK_SECONDS]
    status = "503 Service Unavailable" if stuck else "200 OK"
    said = {"ok": not stuck, "seconds_since_at_work": {role: round(seconds, 3) for role, seconds in pulse.items()}}
    return status, "application/json", json.dumps(said).encode() + b"\n"


class _Quiet(WSGIRequestHandler):
    """A handler that logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
