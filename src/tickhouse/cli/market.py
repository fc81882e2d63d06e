"""`tickhouse exchange`: the simulated exchange at a terminal, or as another command's child."""

import os
import sys
from typing import Any

from tickhouse.cli.common import emit_json, say
from tickhouse.exchange import run


def serve_exchange(options: dict[str, Any], seconds: float | None, as_json: bool) -> None:
    """Serve until told to stop; says its addresses first, and what it made at the end."""

    def listening(exchange: Any) -> None:
        if as_json:
            emit_json({"url": exchange.url, "ws_url": exchange.ws_url, "pid": os.getpid(), "simulated": True})
            sys.stdout.flush()
        else:
            say(f"simulated exchange: REST {exchange.url}, WebSocket {exchange.ws_url}; Ctrl-C ends it")

    counts = run.run(options, seconds, listening)
    if not as_json:
        say(", ".join(f"{name} {value}" for name, value in counts.items() if not isinstance(value, dict | list)))
