"""Start and end the real servers that tests talk to.

python -m tools.services up                    everything, natively or by Docker compose
python -m tools.services up postgres redis     only these
python -m tools.services status
python -m tools.services down
"""

import argparse
import sys

from tools.services import native
from tools.services.known import SERVERS
from tools.services.server import Missing, NotReady
from tools.services.state import State, held


def main(words: list[str]) -> int:
    """Returns 0 where everything asked for is so, 1 where a server cannot be had or does not run."""
    told = _parser().parse_args(words)
    unknown = [name for name in told.names if name not in SERVERS]
    if unknown:
        sys.stderr.write(f"no server named {unknown[0]!r} (known: {', '.join(SERVERS)})\n")
        return 2
    try:
        with held() as state:
            return {"up": _up, "down": _down, "status": _status}[told.action](state, told.names or list(SERVERS))
    except (Missing, NotReady) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _up(state: State, names: list[str]) -> int:
    problems = native.up(state, names)
    _table(state, list(state.servers))
    sys.stdout.write(f"\ntests read {state.env}; end them with `make services-down`\n")
    for problem in problems:
        sys.stderr.write(f"cannot be had: {problem}\n")
    return 1 if problems else 0


def _down(state: State, names: list[str]) -> int:
    native.down(state, names)
    return 0


def _status(state: State, names: list[str]) -> int:
    _table(state, names)
    return 0 if all(name in state.servers and state.servers[name].alive() for name in names) else 1


def _table(state: State, names: list[str]) -> None:
    for name in names:
        server = state.servers.get(name)
        if not server or not server.process:
            sys.stdout.write(f"{name:<10} not started\n")
        elif not server.alive():
            sys.stdout.write(f"{name:<10} ended by itself; its log: {server.log}\n")
        else:
            held_mb = server.process.rss() / 1e6
            sys.stdout.write(f"{name:<10} {server.url}  (process {server.process.pid}, {held_mb:.0f} MB)\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tools.services", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which of {', '.join(SERVERS)}; all where none is given"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
