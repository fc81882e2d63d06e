"""A consistent copy of a house, also while it runs."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tickhouse.core.errors import BadSetting, DiskFull, Final, SettingsError
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings
from tickhouse.steps.dump import dump
from tickhouse.steps.notes import made


def copy(settings: Settings, to: Path) -> tuple[int, int]:
    """Copy a house of files into a new folder; returns the number of files and their bytes.

    A warm store on a PostgreSQL server becomes the file `postgres.dump`. It is copied before the journal: what the copy's stores
    lack, its journal still has. Objects of the lake are written once and never change; those on a server stay there
    (`steps.copying` moves them). Raises `SettingsError` for a place that is taken or a house that is not made of files, `DiskFull`.
    """
    if to.exists() and any(to.iterdir()):
        raise BadSetting("to", str(to), "an empty or new folder")
    if to.resolve().is_relative_to(settings.data.resolve()):
        raise BadSetting("to", str(to), "a folder outside of the house")
    made(to)
    journal = _file(settings.journal_url)
    if settings.warm_url.startswith("postgresql:"):
        dump(settings.warm_url, to / "postgres.dump")
    else:
        warm = _file(settings.warm_url)
        database(warm, to / warm.name)
    database(journal, to / journal.name)
    lake = Path(settings.lake_url.removeprefix("file://"))
    if settings.lake_url.startswith("file:") and lake.is_dir():
        shutil.copytree(lake, to / "lake", ignore=shutil.ignore_patterns("*.tmp"), dirs_exist_ok=True)
    for path in settings.data.glob("*.json"):
        shutil.copy2(path, to / path.name)
    files = [path for path in to.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def _file(url: str) -> Path:
    if not url.startswith("sqlite:///"):
        raise SettingsError(f"{without_password(url)} is not a file; back it up with its own tools")
    return Path(url.removeprefix("sqlite:///"))


def database(path: Path, to: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target, pages=4096)
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        kind = DiskFull if full else Final
        raise kind(f"{path} was not copied to {to}: {error}; the copy is not whole, remove it and try again") from error
