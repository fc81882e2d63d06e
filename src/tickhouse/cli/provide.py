"""Commands about providers: feeds, backfill."""

from typing import Annotated

import typer

from tickhouse.cli.common import Config, Data, End, Json, Start, emit_json, settings


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (feeds, backfill):
        app.command()(command)


def feeds(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Every provider: its channels, key, quota left, market, lines and licence.

    Example: tickhouse feeds
    """
    from tickhouse.cli.providers import providers, told

    rows = providers(settings(data, config))
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        typer.echo(told(row))


def backfill(
    source: Annotated[str, typer.Argument(help="A feed such as yahoo; `tickhouse feeds` lists them.")],
    symbols: Annotated[list[str], typer.Argument(help="Symbols such as AAPL, or economic series such as GDP.")],
    start: Start = None, end: End = None,
    interval: Annotated[str, typer.Option("--interval", "-i", help="The length of the bars.")] = "1d",
    channel: Annotated[str | None, typer.Option("--channel", help="Another channel of the feed's history.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask for what was asked for before, too.")] = False,
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """The past from a provider's history, as far as the house lacks it; of economic series every vintage.

    It says beforehand what it takes, keeps to the quota, and goes on where it was when it is run again. When the day's quota is
    spent it ends with status 75.

    Example: tickhouse backfill yahoo AAPL MSFT --start 2015-01-01 --interval 1d
    Example: tickhouse backfill fred GDP
    """
    from tickhouse.cli.backfilling import Wanted
    from tickhouse.cli.backfilling import backfill as run

    run(data, config, Wanted(source, tuple(symbols), start, end, interval, channel, again), as_json)
