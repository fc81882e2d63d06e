"""Servers as containers, where a Docker engine answers."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.services.server import NotReady, Server, say
from tools.services.state import State

FILE = Path(__file__).with_name("compose.yaml")


def answers() -> bool:
    """Whether a Docker engine and its compose command answer here."""
    return all(_answers(ask) for ask in (["docker", "info"], ["docker", "compose", "version"]))


def command(state: State, *words: str) -> list[str]:
    """The compose command for the containers of this state, and of no other checkout."""
    return ["docker", "compose", "--project-name", state.folder.name, "--file", str(FILE), *words]


def settings(servers: Mapping[str, Server]) -> dict[str, str]:
    """What the file is told: the port and the secret of each server."""
    ports = {f"{name.upper()}_PORT": str(server.port) for name, server in servers.items()}
    return ports | {f"{name.upper()}_SECRET": server.secret for name, server in servers.items()}


def up(state: State, names: Sequence[str]) -> list[str]:
    """Start what does not run yet; returns a sentence for each that cannot be had."""
    servers = {name: state.server(name) for name in names}
    say(f"{', '.join(names)}: starting containers (the first time their images are fetched)")
    env = {**os.environ, **settings(state.servers)}
    problems: list[str] = []
    if subprocess.run(command(state, "up", "--detach", *names), env=env, check=False).returncode:
        problems = [f"docker compose could not start {', '.join(names)}: it says why above"]
    for server in [] if problems else servers.values():
        problems += _wait(server)
    state.save()
    return problems


def down(state: State, names: Sequence[str]) -> None:
    """End the containers and remove their volumes."""
    env = {**os.environ, **settings(state.servers)}
    words = (
        ("down", "--volumes") if set(names) >= set(state.servers) else ("rm", "--stop", "--force", "--volumes", *names)
    )
    if subprocess.run(command(state, *words), env=env, check=False).returncode:
        raise NotReady("docker compose could not take them down: it says why above")
    for name in set(names) & set(state.servers):
        state.forget(name)


def _answers(ask: list[str]) -> bool:
    try:
        return subprocess.run(ask, capture_output=True, check=False, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _wait(server: Server) -> list[str]:
    limit = time.monotonic() + server.patience
    while True:
        try:
            server.greet()
        except (OSError, NotReady) as problem:
            if time.monotonic() > limit:
                return [f"{server.name} did not answer within {server.patience:.0f} s ({problem}): see `docker logs`"]
            time.sleep(0.2)
        else:
            say(f"{server.name}: answers")
            return []
