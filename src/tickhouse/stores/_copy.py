"""Rows into PostgreSQL by COPY, in its binary format."""

from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pyarrow import compute
from sqlalchemy import Connection


class Sent(NamedTuple):
    """Rows as PostgreSQL reads them, and what their columns are."""

    columns: tuple[str, ...]
    data: bytes


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
    with connection.cursor() as cursor, cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT binary)') as sink:
        sink.write(rows.data)


def binary(rows: pa.Table) -> Sent:
    """Rows whose types are those of the columns, with no NUL in a text, for which PostgreSQL has no room."""
    rows = _without_nul(rows)
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    parts = [encoder.write_header(), *map(encoder.write_batch, rows.to_batches()), encoder.finish()]
    return Sent(tuple(rows.column_names), b"".join(parts))


def _without_nul(rows: pa.Table) -> pa.Table:
    for at, field in enumerate(rows.schema):
        if pa.types.is_string(field.type) and compute.any(compute.match_substring(rows.column(at), "\0")).as_py():
            rows = rows.set_column(at, field.name, compute.replace_substring(rows.column(at), "\0", "\ufffd"))
    return rows


def without_nan(rows: pa.Table) -> pa.Table:
    """NaN as null, as other databases have it."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            values = rows.column(at)
            if values.null_count or np.isnan(values.to_numpy()).any():
                kept = pa.array(values.to_numpy(zero_copy_only=False), field.type, from_pandas=True)
                rows = rows.set_column(at, field.name, kept)
    return rows
