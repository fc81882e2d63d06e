"""Rows into PostgreSQL by COPY, as text."""

import io
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pc
from sqlalchemy import Connection


class Sent(NamedTuple):
    """Rows as text, and what their columns are."""

    columns: tuple[str, ...]
    text: bytes


def raw(connection: Connection) -> psycopg.Connection[Any]:
    """The driver's own connection, in the same transaction."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


def added(connection: psycopg.Connection[Any], name: str, rows: Sent) -> bool:
    """Copy rows right into their table; false, with nothing done, when one of them is there already."""
    try:
        with connection.transaction():
            copy(connection, name, rows)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def copy(connection: psycopg.Connection[Any], name: str, rows: Sent) -> None:
    """Rows into a table of that name."""
    # by name: a column that a migration added is the last one there
    columns = ", ".join(f'"{column}"' for column in rows.columns)
    with connection.cursor() as cursor, cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT csv)') as sink:
        sink.write(rows.text)


def csv(rows: pa.Table) -> Sent:
    """Rows as PostgreSQL reads them: text in quotes, null as nothing, and no NUL, for which it has no room."""
    written = io.BytesIO()
    pc.write_csv(rows, written, pc.WriteOptions(include_header=False))
    return Sent(tuple(rows.column_names), written.getvalue().replace(b"\0", "\ufffd".encode()))


def without_nan(rows: pa.Table) -> pa.Table:
    """NaN as null, as other databases have it."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            values = rows.column(at)
            if values.null_count or np.isnan(values.to_numpy()).any():
                kept = pa.array(values.to_numpy(zero_copy_only=False), field.type, from_pandas=True)
                rows = rows.set_column(at, field.name, kept)
    return rows
