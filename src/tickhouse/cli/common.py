"""What the commands share: their options, opening the house, and printing rows."""

import io
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickhouse.core.errors import BadSetting, SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

    from tickhouse.core.settings import Settings
    from tickhouse.pipeline import Pipeline
    from tickhouse.steps.read import Reader

Data = Annotated[Path | None, typer.Option("--data", envvar="TICKHOUSE_DATA", help="The folder of the house.")]
Config = Annotated[Path | None, typer.Option("--config", help="A tickhouse.toml; else the one here or in the house.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Format = Annotated[str, typer.Option("--format", "-f", help="table, json, csv, parquet or arrow.")]
Start = Annotated[str | None, typer.Option("--start", help="From this time on (UTC), e.g. 2026-11-20T14:31 or -6h.")]
End = Annotated[str | None, typer.Option("--end", help="Up to, not including, this time.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="What was believed at this time.")]
Source = Annotated[str | None, typer.Option("--source", help="Only rows of this source.")]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Only the newest N.")]

FORMATS = ("table", "json", "csv", "parquet", "arrow")


def settings(data: Path | None, config: Path | None = None, **overrides: Any) -> "Settings":
    """The settings of the house that the options name."""
    from tickhouse.core.settings import load

    return load(config, data, **overrides)


@contextmanager
def opened(data: Path | None, config: Path | None = None) -> Iterator["Pipeline"]:
    """The house for a command that works on it; made when it is not there."""
    from tickhouse.pipeline import Pipeline

    pipeline = Pipeline(settings(data, config))
    try:
        yield pipeline
    finally:
        pipeline.close()


@contextmanager
def reading(data: Path | None, config: Path | None = None) -> Iterator["Reader"]:
    """The house for a command that only reads. Raises `SettingsError` when there is none."""
    from tickhouse.pipeline import Pipeline
    from tickhouse.steps.read import Reader

    found = settings(data, config)
    if not found.data.is_dir():
        raise SettingsError(
            f"there is no house in {found.data}; `tickhouse demo` or `tickhouse up --data DIR` makes one"
        )
    pipeline = Pipeline(found)
    try:
        yield Reader(pipeline)
    finally:
        pipeline.close()


def say(text: str) -> None:
    """One line for a person, on standard error, so that standard output holds only the answer."""
    sys.stderr.write(text + "\n")


def emit_json(value: Any) -> None:
    """One JSON value on standard output; times as RFC 3339, NaN as null."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(tidy(value)).decode() + "\n")


def tidy(value: Any) -> Any:
    """The value with datetimes as RFC 3339 text ending in Z and floats that JSON lacks as null."""
    from datetime import datetime

    from tickhouse.core.times import instant, rfc3339

    if isinstance(value, dict):
        return {str(key): tidy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(one) for one in value]
    if isinstance(value, datetime):
        return rfc3339(instant(value, 0))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def emit(table: "pa.Table", form: str, hide: tuple[str, ...] = ()) -> None:
    """Rows on standard output in the form asked for; a table for a person leaves out the columns in `hide`."""
    import polars as pl

    if form not in FORMATS:
        raise BadSetting("--format", form, " or ".join(FORMATS))
    frame = pl.DataFrame(table)
    if form == "json":
        emit_json(frame.to_dicts())
    elif form == "csv":
        sys.stdout.write(frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif form in ("parquet", "arrow"):
        buffer = io.BytesIO()
        frame.write_parquet(buffer) if form == "parquet" else frame.write_ipc_stream(buffer)
        sys.stdout.buffer.write(buffer.getvalue())
    else:
        _print(frame.drop([name for name in hide if name in frame.columns]))


def _print(frame: Any) -> None:
    import polars as pl
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 400)
    if frame.is_empty():
        console.print("no rows")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left", no_wrap=True)
    shown = frame.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S"))
    for row in shown.head(2000).iter_rows():
        table.add_row(*(cell(value) for value in row))
    console.print(table)
    if frame.height > 2000:
        say(f"{frame.height - 2000} more rows; use --last, --start or --format csv")


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
