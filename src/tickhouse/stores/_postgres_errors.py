"""What PostgreSQL refuses, as our errors: whose fault it is, and whether waiting helps."""

import re
from dataclasses import dataclass
from typing import Any

import psycopg

from tickhouse.core.errors import Busy, Final, SettingsError, TickhouseError, Unreachable

OLDEST = 140000
"""The first version of the server that will do, as it tells it itself."""
AGAIN = 1.0
"""Seconds after which a server that is away may be asked again."""
ROOM = 5.0
"""The same where its disk is full; somebody must make room there, and each try writes and undoes some of it."""

REFUSED = re.compile(
    r"password authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|not permitted to log in"
    r"|authentication failed|SSL was required|certificate|permission denied for database|not currently accepting connections"
)
"""What is said before there is a connection, and no try will change. Nothing but words comes with it, and those of a server that
speaks another language are taken for trouble that may pass."""
CROWDED = re.compile(r"too many (clients|connections)|connection slots")

SETTINGS = {
    "28000": "refuses the user of warm.url",
    "28P01": "refuses the password of warm.url",
    "3D000": "has no such database; make it, or correct warm.url",
    "3F000": "has no such schema; make it, or correct the search_path of warm.url",
    "42501": "does not allow this to the user of warm.url, who must own the database",
    "25006": "only reads: it is a replica, or set so; warm.url must name the server that writes",
    "42P01": "has no tables of this version yet; run `tickhouse db upgrade`",
    "42703": "has no tables of this version yet; run `tickhouse db upgrade`",
}
CROWD = {"53000", "53200", "53300", "53400"}
TURN = {"55P03", "40P01", "40001", "57014", "25P03"}
"""Another writer, a question that was stopped because it took too long, a transaction that had to give way."""
DAMAGED = ("XX001", "XX002", "58P01", "58P02", "58030")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a warm store is, as it may be shown."""

    host: object
    port: int
    database: str | None

    def __str__(self) -> str:
        return f"PostgreSQL at {self.host}:{self.port}, database {self.database},"


def suitable(connection: psycopg.Connection[Any]) -> None:
    """Raises `SettingsError` for a server that is too old and a database that cannot hold every letter."""
    found, encoding = connection.info.server_version, connection.info.parameter_status("server_encoding")
    if found < OLDEST:
        raise SettingsError(
            f"the warm store needs PostgreSQL {OLDEST // 10_000} or newer; the server has {found // 10_000}.{found % 10_000}"
        )
    if encoding != "UTF8":
        raise SettingsError(
            f"the warm store needs a database with the encoding UTF8; {connection.info.dbname} has {encoding}"
        )


def translated(error: BaseException | None, place: Place) -> TickhouseError:
    """One of our errors for one of psycopg's."""
    state, said = getattr(error, "sqlstate", None), _sentence(error)
    if state is None and isinstance(error, psycopg.ProgrammingError):
        return SettingsError(f"warm.url cannot be used: {said}")
    if state is None or state.startswith("08") or state.startswith("57P"):
        return _away(said, place)
    if state == "53100":
        return Busy(f"{place} has no room left on its disk; what was stored is kept, make room there", retry_after=ROOM)
    if state in CROWD:
        return Busy(f"{place} has no room for another question now ({said}); try again", retry_after=AGAIN)
    if state in TURN:
        return Busy(f"{place} was too slow, or another process was writing for too long ({said})", retry_after=AGAIN)
    if state in SETTINGS:
        return SettingsError(f"{place} {SETTINGS[state]} ({said})")
    if state in DAMAGED:
        return Final(
            f"{place} is damaged ({said}); restore a backup, or begin with another database and replay the lake"
        )
    return Final(f"{place} failed: {said}")


def _away(said: str, place: Place) -> TickhouseError:
    """There is no connection, or there is none any more."""
    if CROWDED.search(said):
        return Busy(f"{place} has no connection left for us ({said}); try again", retry_after=AGAIN)
    if REFUSED.search(said):
        return SettingsError(f"{place} refuses us: {said}; check warm.url")
    return Unreachable(f"{place} does not answer ({said})", retry_after=AGAIN)


def _sentence(error: BaseException | None) -> str:
    """The words of an error in one line, without what leads up to them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if REFUSED.search(line)), lines[0] if lines else type(error).__name__)
    return re.sub(r"^.*(?:\b(?:FATAL|ERROR)|\bfailed): +", "", first).strip()
