"""All rows of a database as JSON lines, in a form that belongs to neither SQLite nor PostgreSQL.

A piece is some rows of one table: the first line names the columns, each further line is a row.
What is read are the tables as they are, not as this program would make them: rows of an older
revision are put into tables of that revision, which the migrations then bring forward.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, LargeBinary, MetaData, Table, inspect, select
from sqlalchemy.exc import DataError, IntegrityError, StatementError

PIECE_BYTES = 2 * 1024 * 1024
"""About how long a piece is; what is held of the rows at a time."""

ROWS_AT_A_TIME = 500
LARGE_ROWS_AT_A_TIME = 8
"""Of tables with columns of bytes, whose rows have up to some hundred kilobytes."""

VERSION_TABLE = "alembic_version"

PASSING = frozenset(
    {VERSION_TABLE, "authorization_codes", "changes_of_holdings", "device_codes", "mail", "nodes"}
)
"""What is not taken along: the revision, which is told apart; sign-ins under way; nodes of the moment;
and what a store counts by itself."""


class BadRows(ValueError):
    """A piece does not fit the tables; the text says in what way."""


class Piece(NamedTuple):
    """Some rows of one table, and how many."""

    table: str
    lines: bytes
    rows: int


def reflected(connection: Connection) -> dict[str, Table]:
    """Return the tables that a database has, by name, but for those that are not taken along."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {name: table for name, table in metadata.tables.items() if name not in PASSING}


def is_empty(connection: Connection) -> bool:
    """Say whether a database has no tables at all."""
    return not inspect(connection).get_table_names()


def dump(connection: Connection) -> Iterator[Piece]:
    """Yield everything that the connection's snapshot holds, a table after the other."""
    encode = msgspec.json.Encoder().encode
    for name, table in sorted(reflected(connection).items()):
        heading = encode([str(column.name) for column in table.columns]) + b"\n"
        lines, rows = bytearray(heading), 0
        large = any(isinstance(column.type, LargeBinary) for column in table.columns)
        at_a_time = LARGE_ROWS_AT_A_TIME if large else ROWS_AT_A_TIME
        found = connection.execution_options(yield_per=at_a_time).execute(select(table))
        for row in found:
            lines += encode(list(row)) + b"\n"
            rows += 1
            if len(lines) >= PIECE_BYTES:
                yield Piece(name, bytes(lines), rows)
                lines, rows = bytearray(heading), 0
        yield Piece(name, bytes(lines), rows)


def empty(connection: Connection, tables: dict[str, Table]) -> None:
    """Remove what the migrations themselves have put into new tables."""
    for table in tables.values():
        connection.execute(table.delete())


def load(connection: Connection, table: Table, lines: bytes) -> int:
    """Put the rows of a piece into its table and return how many they were.

    Raises:
        BadRows: it is no piece, has other columns than the table, or a row does not fit.
    """
    try:
        heading, *rows = msgspec.json.Decoder(list[Any]).decode_lines(lines)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadRows(f"the rows of {table.name} cannot be read ({error})") from error
    names = [column.name for column in table.columns]
    if sorted(map(str, heading)) != sorted(names):
        raise BadRows(f"the rows of {table.name} have other columns than the table")
    if any(len(row) != len(heading) for row in rows):
        raise BadRows(f"a row of {table.name} is too long or too short")
    _decode_bytes(table, heading, rows)
    try:
        if rows:
            connection.execute(table.insert(), [dict(zip(heading, row, strict=True)) for row in rows])
    except (IntegrityError, DataError, StatementError, TypeError) as error:
        if getattr(error, "connection_invalidated", False):
            raise
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadRows(f"a row of {table.name} does not fit ({reason})") from error
    return len(rows)


def _decode_bytes(table: Table, heading: Sequence[str], rows: Sequence[list[Any]]) -> None:
    """JSON has no bytes: what a column of bytes held came as base64."""
    for number, name in enumerate(heading):
        if isinstance(table.columns[name].type, LargeBinary):
            for row in rows:
                row[number] = None if row[number] is None else base64.b64decode(row[number])
