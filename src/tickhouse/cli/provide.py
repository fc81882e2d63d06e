"""Commands about providers: feeds, backfill."""

import typer

from tickhouse.cli.common import Config, Data, Json, emit_json, settings


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (feeds,):
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
