"""Start and end the real servers that tests talk to: `python -m tools.services --help`."""

import argparse
import sys

from tools.services import compose, native
from tools.services.known import SERVERS
from tools.services.server import Missing, NotReady, Server
from tools.services.state import State, held

ENGINES = {"docker": compose, "native": native}
EXAMPLES = """
    python -m tools.services up                    all of them: by Docker compose where an engine answers, else natively
    python -m tools.services up postgres redis     only these
    python -m tools.services status                where they are, and the memory that they hold
    python -m tools.services down                  end them and remove their data
"""


def main(words: list[str]) -> int:
    """Returns 0 where everything asked for is so, 1 where a server cannot be had or does not run."""
    told = _parser().parse_args(words)
    unknown = [name for name in told.names if name not in SERVERS]
    if unknown:
        sys.stderr.write(f"no server named {unknown[0]!r} (known: {', '.join(SERVERS)})\n")
        return 2
    names = told.names or list(SERVERS)
    try:
        with held() as state:
            if not state.servers:
                state.engine = "docker" if not told.native and compose.answers() else "native"
            return {"up": _up, "down": _down, "status": _status}[told.action](state, names)
    except (Missing, NotReady) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _up(state: State, names: list[str]) -> int:
    problems = ENGINES[state.engine].up(state, names)
    _table(state, list(state.servers))
    if state.servers:
        sys.stdout.write(f"tests read {state.env}; `make services-down` ends them\n")
    for problem in problems:
        sys.stderr.write(f"cannot be had: {problem}\n")
    return 1 if problems else 0


def _down(state: State, names: list[str]) -> int:
    if not state.servers:
        sys.stderr.write("nothing was started\n")
        return 0
    ENGINES[state.engine].down(state, names)
    return 0


def _status(state: State, names: list[str]) -> int:
    _table(state, names)
    return 0 if all(name in state.servers and _answers(state.servers[name]) for name in names) else 1


def _table(state: State, names: list[str]) -> None:
    for name in names:
        server = state.servers.get(name)
        sys.stdout.write(f"{name:<9} {_verdict(server) if server else 'not started'}\n")


def _verdict(server: Server) -> str:
    if server.process and not server.alive():
        return f"ended by itself; its log: {server.log}"
    holds = f" (process {server.process.pid}, {server.process.rss() / 1e6:.0f} MB)" if server.process else ""
    return f"{server.url}{holds}" if _answers(server) else f"does not answer at {server.url}{holds}"


def _answers(server: Server) -> bool:
    try:
        server.greet()
    except (OSError, NotReady):
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    about = "Start and end the real servers that tests talk to, on free loopback ports with their data in a temporary folder."
    parser = argparse.ArgumentParser("python -m tools.services", description=about, epilog=EXAMPLES)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(SERVERS)}; none named: all")
    parser.add_argument("--native", action="store_true", help="as processes of this machine even where Docker answers")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
