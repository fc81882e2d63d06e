"""Servers as processes of this machine, each by itself."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.services.server import Missing, NotReady, say
from tools.services.state import State


def up(state: State, names: Sequence[str]) -> list[str]:
    """Start what does not run yet, side by side; returns a sentence for each that cannot be had."""
    for name in names:
        state.server(name)
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        problems = list(pool.map(lambda name: _start(state, name), names))
    for name, problem in zip(names, problems, strict=True):
        if problem:
            state.servers.pop(name).remove()
    state.save()
    return [problem for problem in problems if problem]


def down(state: State, names: Sequence[str]) -> None:
    """End exactly what was started, and remove its data."""
    for name in names:
        if name in state.servers:
            server = state.servers[name]
            say(f"{name}: ending process {server.process.pid if server.process else '?'}")
            server.stop()
            server.remove()
            state.forget(name)


def _start(state: State, name: str) -> str:
    """Start a server that does not answer; returns why it cannot be had, or nothing."""
    server, began = state.server(name), time.monotonic()
    if server.alive():
        try:
            server.wait()
            say(f"{server.name}: already up")
            return ""
        except NotReady:
            say(f"{server.name}: does not answer; starting it again")
    try:
        say(f"{server.name}: starting on port {server.port}")
        server.begin()
        state.save()  # at once, so that `down` finds it even if we are ended while we wait
        server.wait()
    except Missing as problem:
        return f"{server.name}: {problem}"
    except NotReady as problem:
        return str(problem)
    say(f"{server.name}: answers after {time.monotonic() - began:.1f} s")
    return ""
