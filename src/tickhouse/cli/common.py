"""What the commands share: their options, opening the house, and printing rows."""

import io
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickhouse.cli.table import show
from tickhouse.core.errors import BadSetting, NoData, SettingsError, Temporary, UnknownSymbol

if TYPE_CHECKING:
    import pyarrow as pa

    from tickhouse.core.settings import Settings
    from tickhouse.pipeline import Pipeline
    from tickhouse.steps.read import Reader

MOST_LAST = 1 << 40
Data = Annotated[Path | None, typer.Option("--data", envvar="TICKHOUSE_DATA", help="The folder of the house.")]
Config = Annotated[Path | None, typer.Option("--config", help="A tickhouse.toml; else the one here or in the house.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Format = Annotated[str, typer.Option("--format", "-f", help="table, json, csv, parquet or arrow.")]
Start = Annotated[str | None, typer.Option("--start", help="From this time on (UTC), e.g. 2026-11-20T14:31 or -6h.")]
End = Annotated[str | None, typer.Option("--end", help="Up to, not including, this time.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="What was believed at this time.")]
Source = Annotated[str | None, typer.Option("--source", help="Only rows of this source.")]
Last = Annotated[int | None, typer.Option("--last", min=1, max=MOST_LAST, help="Only the newest N.")]

MOST_SHOWN = 2000
FORMATS = ("table", "json", "csv", "parquet", "arrow")
USAGE, TEMPORARY, FAILED, INTERRUPTED = 2, 75, 1, 130


def status_of(error: BaseException) -> int:
    """The exit status of an error. 2: the user can fix it now; 75: trying again can help; 1: it failed."""
    if isinstance(error, SettingsError | UnknownSymbol | NoData):
        return USAGE
    return TEMPORARY if isinstance(error, Temporary) else FAILED


def settings(data: Path | None, config: Path | None = None, **overrides: Any) -> "Settings":
    """The settings of the house that the options name."""
    from tickhouse.core.settings import load

    return load(config, data, **overrides)


def existing(data: Path | None, config: Path | None = None) -> "Settings":
    """The settings of a house that is there. Raises `SettingsError` for a folder that is none."""
    from tickhouse.steps.notes import is_house

    found = settings(data, config)
    if not is_house(found):
        raise SettingsError(f"{none_in(found)}; `tickhouse up`, `load` and `demo` make one")
    return found


def none_in(found: "Settings") -> str:
    """That there is no house where the settings say."""
    what = "there is no house in" if not found.data.exists() else "this is no house:"
    return f"{what} {found.data}"


@contextmanager
def opened(data: Path | None, config: Path | None = None, new: bool = False) -> Iterator["Pipeline"]:
    """The house for a command that works on it; `new` makes it when it is not there. Raises `SettingsError`."""
    from tickhouse.pipeline import Pipeline

    pipeline = Pipeline(settings(data, config) if new else existing(data, config))
    try:
        yield pipeline
    finally:
        pipeline.close()


@contextmanager
def reading(data: Path | None, config: Path | None = None) -> Iterator["Reader"]:
    """The house for a command that only reads. Raises `SettingsError` when there is none."""
    from tickhouse.steps.read import Reader

    with opened(data, config) as pipeline:
        yield Reader(pipeline)


def wanted(form: str, as_json: bool) -> str:
    """The form asked for: `--json` is short for `--format json`."""
    return "json" if as_json else form


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
        sys.stdout.write(_flat(frame).write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif form in ("parquet", "arrow"):
        buffer = io.BytesIO()
        frame.write_parquet(buffer) if form == "parquet" else frame.write_ipc_stream(buffer)
        sys.stdout.buffer.write(buffer.getvalue())
    else:
        show(frame.head(MOST_SHOWN).drop([name for name in hide if name in frame.columns]))
        if frame.height > MOST_SHOWN:
            say(f"{frame.height - MOST_SHOWN:,} more rows; use --last, --start or --format csv")


def _flat(frame: Any) -> Any:
    """The frame with what CSV has no form for, lists and objects and bytes, as JSON has it."""
    import msgspec
    import polars as pl

    odd = [name for name, kind in frame.schema.items() if kind.is_nested() or kind == pl.Binary]
    texts = {
        name: [
            None if value is None else msgspec.json.encode(tidy(value)).decode().strip('"')
            for value in frame[name].to_list()
        ]
        for name in odd
    }
    return frame.with_columns(pl.Series(name, values, pl.String) for name, values in texts.items())
