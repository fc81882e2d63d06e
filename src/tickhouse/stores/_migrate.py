"""Which migration a database is at, and how it gets to the newest."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from tickhouse.core.errors import SettingsError
from tickhouse.stores._tables import HEAD, METADATA

FOLDER = Path(__file__).parent / "migrations"


def version(engine: Engine) -> str | None:
    """The migration the tables are at; None for an empty database."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> str:
    """Bring the tables to the newest version, in one transaction, and return its name.

    `engine` begins transactions that write, of which there is one at a time, so several processes may do this at once.
    Raises `SettingsError` for tables made by a newer tickhouse.
    """
    found = version(engine)
    if found == HEAD:
        return HEAD
    if found is not None and found > HEAD:
        raise SettingsError(
            f"the tables of the warm store are at version {found}, newer than this tickhouse knows ({HEAD})"
        )
    if found is None and engine.dialect.name == "sqlite":
        _make(engine)
    else:
        move(engine, HEAD)
    return HEAD


def _make(engine: Engine) -> None:
    """The newest tables in an empty file, without Alembic, which takes 11 MiB and a quarter of a second to load.

    Where there is a server these do not matter, and there is more than tables (migration 0004).
    """
    with engine.begin() as connection:
        if not _begun(connection):
            METADATA.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def move(engine: Engine, target: str) -> None:
    """Upgrade or downgrade to a version; `base` drops every table."""
    with engine.begin() as connection:
        now = (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if _begun(connection) else None
        )
        _run(connection, target, up=target != "base" and (now is None or target >= now))


def _begun(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


def _run(connection: Connection, target: str, *, up: bool) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    (command.upgrade if up else command.downgrade)(config, target)
