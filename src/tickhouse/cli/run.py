"""Commands that run something: demo, up, run, exchange."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickhouse.cli.common import TEMPORARY, Config, Data, Json, emit_json, settings
from tickhouse.core import memory

if TYPE_CHECKING:
    from tickhouse.cli.session import Session

For = Annotated[str | None, typer.Option("--for", help="End after this time, e.g. 30s or 5m; else on Ctrl-C.")]
MOST_PORT = 65_535
Port = Annotated[
    int, typer.Option("--port", min=0, max=MOST_PORT, help="The port of the pages and the API; 0: any free one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (demo, up, run, exchange):
        app.command()(command)


def demo(
    for_: For = None,
    rate: Annotated[float, typer.Option("--rate", help="Simulated trades a second, over all symbols.")] = 200,
    symbols: Annotated[int, typer.Option("--symbols", min=1, help="How many symbols to follow.")] = 12,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same market.")] = 7,
    fault: Annotated[
        str, typer.Option("--fault", help="Faults of the exchange, e.g. duplicates=0.01,disconnects=0.0005.")
    ] = "",
    feeds: Annotated[
        str, typer.Option("--feeds", help="all, or some of the providers that the exchange speaks as, with commas.")
    ] = "binance",
    port: Port = 8000,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A simulated exchange, the whole pipeline on it, and a live page: no key, no network.

    Example: tickhouse demo --for 30s --rate 500
    Example: tickhouse demo --feeds all
    """
    memory.frugal()
    from tickhouse.cli.demo import Demo

    made = Demo(rate=rate, symbols=symbols, seed=seed, fault=fault, port=port, data=data, feeds=feeds)
    answer = made.run(_seconds(for_), as_json)
    if as_json:
        emit_json(answer)


def up(for_: For = None, port: Annotated[int | None, typer.Option("--port", min=0, max=MOST_PORT)] = None, data: Data = None,
       config: Config = None, as_json: Json = False) -> None:  # fmt: skip
    """The whole pipeline on the feeds of the settings; keyless live Binance when there are none.

    Example: tickhouse up --data mine --for 10m
    """
    memory.frugal()
    from tickhouse.cli.session import Session
    from tickhouse.targets.local import ROLES

    found = settings(data, config, serve__port=port)
    _run(Session(found, ROLES, quiet=as_json), for_, as_json)


def run(
    roles: Annotated[list[str], typer.Argument(help="ingest, process, archive, serve: one or several.")],
    for_: For = None,
    once: Annotated[bool, typer.Option("--once", help="Ask each polled feed once, then end.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", min=0, max=MOST_PORT, help="Serve Prometheus metrics of this process there.")
    ] = None,
    data: Data = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Some roles of the pipeline; the others run in other processes over the same journal.

    With --once it ends with status 75 when a provider could not be asked now, 1 when one refuses for good; of a group the next
    feed is asked, and the status tells of it only when no feed had a price.

    Example: tickhouse run ingest --data mine
    Example: tickhouse run ingest process archive --once
    """
    memory.frugal()
    from tickhouse.cli.session import Session

    found = settings(data, config, metrics__port=metrics_port)
    _run(Session(found, tuple(roles), quiet=as_json, once=once), for_, as_json)


def exchange(
    port: Annotated[int, typer.Option("--port", min=0, max=MOST_PORT, help="0: any free one.")] = 9000,
    rate: Annotated[float, typer.Option("--rate", help="Trades a second, over all symbols.")] = 200,
    symbols: Annotated[int, typer.Option("--symbols", min=1, help="Symbols of the market.")] = 300,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same market.")] = 7,
    tape: Annotated[Path | None, typer.Option("--tape", help="Recorded trades: CSV, Parquet or raw NDJSON.")] = None,
    speed: Annotated[float, typer.Option("--speed", help="How fast a tape is played; 0: as fast as possible.")] = 1.0,
    shift: Annotated[bool, typer.Option("--shift", help="Move a tape's times to now.")] = False,
    fault: Annotated[
        str, typer.Option("--fault", help="e.g. duplicates=0.01,malformed=0.001, storm=0.3, or yahoo.server_errors=1")
    ] = "",
    speak: Annotated[
        str, typer.Option("--speak", help="Providers to be ready for at once: all, or names with commas.")
    ] = "",
    for_: For = None,
    as_json: Json = False,
) -> None:
    """A local exchange that speaks as Binance does, and below /<name> as every other provider, from a seeded market or a tape.

    Simulated, and says so.

    Example: tickhouse exchange --port 9000 --rate 1000 --fault duplicates=0.01
    Example: curl 'localhost:9000/yahoo/v8/finance/chart/AAPL?interval=1m'
    """
    from tickhouse.cli.market import serve_exchange

    options: dict[str, Any] = {
        "port": port, "rate": rate, "symbols": symbols, "seed": seed, "tape": tape, "speed": speed, "shift": shift,
        "fault": fault, "speak": speak,
    }  # fmt: skip
    serve_exchange(options, _seconds(for_), as_json)


def _run(session: "Session", for_: str | None, as_json: bool) -> None:
    """Run a session; one that ends by itself without ever having been connected could not do what was asked of it."""
    seconds = _seconds(for_)
    summary = session.run(seconds)
    if as_json:
        emit_json(summary)
    if seconds is not None and session.never_connected:
        raise typer.Exit(TEMPORARY)


def _seconds(text: str | None) -> float | None:
    from tickhouse.core.quantities import seconds

    return None if text is None else seconds(text)
