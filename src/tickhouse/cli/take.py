"""Commands that take data in, or look at what would: load, replay, parse, certify."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tickhouse.cli.common import Config, Data, End, Json, Start, emit_json, say, settings
from tickhouse.cli.table import cell
from tickhouse.core.errors import SettingsError

Files = Annotated[list[Path], typer.Argument(help="One file or several.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (load, replay, parse, certify):
        app.command()(command)


def load(
    files: Files,
    as_: Annotated[
        str, typer.Option("--as", help="csv, or the feed whose raw messages the lines are: binance.")
    ] = "csv",
    kind: Annotated[str | None, typer.Option("--kind", help="CSV: ticks or bars; found out when left out.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="CSV: the symbol, when no column says it.")] = None,
    interval: Annotated[str | None, typer.Option("--interval", "-i", help="CSV: the length of the bars.")] = None,
    source: Annotated[str, typer.Option("--source", help="CSV: the name of the source in the house.")] = "csv",
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="CSV without a header: its columns, e.g. time,price,-,size; - for one to skip."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", help="CSV: the time zone of times without one, e.g. America/New_York.")
    ] = None,
    day_first: Annotated[bool, typer.Option("--day-first", help="CSV: 01/02/2026 is the first of February.")] = False,
    scale: Annotated[float | None, typer.Option("--scale", help="CSV: what prices are divided by.")] = None,
    price: Annotated[str | None, typer.Option("--price", help="CSV of quotes: the price is mid, bid or ask.")] = None,
    separator: Annotated[str | None, typer.Option("--separator", help="CSV: what is between the fields.")] = None,
    date: Annotated[
        str | None, typer.Option("--date", help="CSV: the day of times that have none, e.g. 2013-10-07.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", help="CSV: the decimal point, when it is a comma.")
    ] = None,
    stamped: Annotated[
        str | None, typer.Option("--stamped", help="CSV of bars: stamped at their open or close.")
    ] = None,
    conditions: Annotated[
        str | None, typer.Option("--conditions", help="The rule of sale conditions: us-equities.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Load a file that is loaded already once more.")] = False,
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Files into the pipeline: CSV or Parquet of bars or ticks, or a tape of raw provider messages.

    A load that was interrupted goes on where it was; a file that is loaded is not loaded twice.

    Example: tickhouse load trades.csv.gz --symbol AAPL --tz America/New_York
    Example: tickhouse load tape.ndjson --as binance
    """
    from tickhouse.cli.loading import Loading

    declared: dict[str, Any] = {
        "kind": kind, "symbol": symbol, "interval": interval, "source": source, "columns": columns, "tz": tz,
        "day_first": day_first, "scale": scale, "price": price, "separator": separator, "date": date, "decimal": decimal,
        "stamped": stamped,
    }  # fmt: skip
    loading = Loading(
        data, config, as_, {k: v for k, v in declared.items() if v is not None and v is not False}, conditions, again
    )
    answers = loading.run(files)
    if as_json:
        emit_json(answers)
    if loading.failures and len(files) > 1:
        say(f"{len(loading.failures)} of {len(files)} files were not loaded")
    if loading.failures:
        raise typer.Exit(2 if all(isinstance(error, SettingsError) for error in loading.failures) else 1)


def replay(
    into: Annotated[Path, typer.Option("--into", help="The house that is made by the replay.")],
    start: Start = None,
    end: End = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Leave out what was loaded from this file, by its name.")
    ] = None,
    speed: Annotated[str, typer.Option("--speed", help="max, or times the pace the messages came at.")] = "max",
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """The raw messages of a house through the same pipeline again, into a new house: with other settings, a better parser, or
    without a file that was loaded by mistake.

    The new house has the settings of a tickhouse.toml here or in it, else those of the old one. A replay that was interrupted
    goes on where it was.

    Example: tickhouse replay --data mine --into again --speed max
    Example: tickhouse replay --data mine --into right --without prices.csv
    """
    from tickhouse.cli.replaying import Replaying

    answer = Replaying(data, config, into).run(start, end, tuple(without or ()), speed)
    if as_json:
        emit_json(answer)
        return
    again = f", which had those before position {answer['before']:,} already" if answer["before"] else ""
    say(f"{answer['messages']:,} messages replayed into {into}{again}")


def parse(
    what: Annotated[str, typer.Argument(help="FEED:CHANNEL, e.g. binance:trade.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="One raw message; a file of lines where it is .ndjson or of csv.", exists=True, dir_okay=False
        ),
    ],
    symbol: Annotated[str | None, typer.Option("--symbol", help="CSV: the symbol, when no column says it.")] = None,
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """What tickhouse makes of a raw message: its rows, or the error it stands for.

    Example: tickhouse parse binance:trade message.json --json
    """
    from tickhouse.cli.parsing import parsed

    answer = parsed(what, file, settings(data, config), symbol)
    if as_json:
        emit_json(answer)
    elif "error" in answer:
        typer.echo(f"{answer['error']['kind']}: {answer['error']['message']}")
    else:
        for row in answer["rows"]:
            typer.echo("  ".join(f"{name}={cell(value)}" for name, value in row.items() if value is not None))
        for reject in answer["rejects"]:
            typer.echo(f"message {reject['message']} rejected: {reject['reason']}: {cell(reject['detail'])}")
        typer.echo(f"{len(answer['rows'])} rows, {answer['kind']}")
    if "error" in answer:
        raise typer.Exit(1)


def certify(
    feed: Annotated[str, typer.Argument(help="A feed by its name, or the module of one, such as mypackage.myfeed.")],
    as_json: Json = False,
) -> None:
    """Whether a feed can be trusted: a suite of cards on the simulated exchange, or on messages that it brings.

    Ends with status 1 when a card failed.

    Example: tickhouse certify yahoo
    Example: tickhouse certify mypackage.myfeed --json
    """
    from tickhouse.cli.certifying import show

    if not show(feed, as_json):
        raise typer.Exit(1)
