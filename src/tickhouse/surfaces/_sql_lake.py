"""The lake's part of the tables of SQL: folders of this machine, or an S3 server that DuckDB reads through its httpfs."""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from tickhouse.core.errors import MissingExtra

PATIENCE = {"http_timeout": 10, "http_retries": 2}
"""Seconds for an answer of the server, and how often it is asked again."""


def reach(connection: Any, told: Mapping[str, str]) -> None:
    """Let a connection reach the lake; `told` are the options of DuckDB's secret of type s3, none for files.

    No statement can read them: functions that list secrets are not among those that are allowed. Raises `MissingExtra`.
    """
    if not told:
        return
    connection.load_extension(str(_httpfs()))
    for name, value in PATIENCE.items():
        connection.execute(f"SET {name} = {value}")
    options = ", ".join(f"{name} ?" for name in told)
    connection.execute(f"CREATE SECRET (TYPE s3, {options})", list(told.values()))


def any_at(glob: str) -> bool:
    """Whether there is an object of a glob; on a server the asker has looked."""
    if "://" in glob:
        return True
    root, _, rest = glob.partition("*")
    folder = Path(root)
    return folder.is_dir() and next(folder.rglob("*" + rest.rsplit("*", 1)[-1]), None) is not None


def root(glob: str) -> str:
    """The folder below which everything of a glob is."""
    fixed = re.split(r"[*?\[]", glob)[0]
    return fixed if "://" in glob else str(Path(fixed).resolve())


def _httpfs() -> Path:
    try:
        folder = resources.files("duckdb_extension_httpfs")
    except ModuleNotFoundError as missing:
        raise MissingExtra("s3", package="duckdb-extension-httpfs") from missing
    with resources.as_file(folder) as place:
        return next(Path(place).rglob("*.duckdb_extension"))
