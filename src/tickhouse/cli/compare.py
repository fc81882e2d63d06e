"""The command that compares two sources."""

from typing import Annotated, Any

import typer

from tickhouse.cli.ask import Interval, Symbol, query
from tickhouse.cli.common import Config, Data, End, Json, Start, emit_json, reading

One = Annotated[str, typer.Argument(help="The source that the other one is measured by.")]
Other = Annotated[str, typer.Argument(help="The other source.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(reconcile)


def reconcile(
    symbol: Symbol, a: One, b: Other, interval: Interval = "1m", start: Start = None, end: End = None,
    worst: Annotated[int, typer.Option("--worst", min=0, help="Show so many of the bars that differ most.")] = 10,
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """How two sources differ on the same bars of a symbol.

    Example: tickhouse reconcile BTC-USD coingecko yahoo --interval 1d --start -90d
    """
    with reading(data, config) as house:
        found = house.reconcile(query(symbol, start, end, interval=interval), a, b, worst)
    if as_json:
        emit_json(found)
        return
    for line in told(found):
        typer.echo(line)


def told(found: dict[str, Any]) -> list[str]:
    """A report as lines for a person."""
    a, b, bars = found["a"], found["b"], found["bars"]
    ratio = found["volume_ratio"]
    lines = [
        f"{bars['compared']:,} {found['interval']} bars of {found['symbol']} compared, {bars['equal']:,} equal; "
        f"{bars['only_a']:,} only from {a}, {bars['only_b']:,} only from {b}",
        *(
            f"{name}: {_points(one['median'])} apart by the median, {_points(one['largest'])} at most"
            for name, one in found["basis_points"].items()
        ),
        f"volume of {b} over that of {a}: {'not known' if ratio is None else f'{ratio:.4g}'}",
    ]
    for row in found["worst"]:
        sides = (f"{source} {_side(row[name])}" for name, source in (("a", a), ("b", b)))
        lines.append(f"{row['start']:%Y-%m-%d %H:%M}  {_points(row['basis_points'])}  {'  '.join(sides)}")
    return lines


def _points(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f} bp"


def _side(bar: dict[str, Any]) -> str:
    first, last = bar["raw"]
    messages = f"message {first}" if first == last else f"messages {first} to {last}"
    return f"high {bar['high']:g} low {bar['low']:g} close {bar['close']:g} ({messages})"
