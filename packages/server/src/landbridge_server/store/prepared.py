"""Statements of the hot path: put into words once, and on SQLite run by the driver itself.

SQLAlchemy's own execution costs several times what SQLite needs for a point read or the
change of a row. A prepared statement keeps SQLAlchemy's description and leaves its execution
out: no conversion of types (booleans come as 0 and 1), and no transaction is begun; inside
one it sees what that sees. On PostgreSQL the round trip costs more than anything here:
SQLAlchemy runs the same words there, and looks after connections that are lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

Parameters = Mapping[str, Any]


class Prepared:
    """A statement with named parameters, ready to be run.

    An insert takes one parameter for each column, by its name.
    """

    def __init__(self, statement: Executable) -> None:
        """Take a statement whose parameters are ``bindparam``s without expansion."""
        if not isinstance(statement, ClauseElement):
            raise TypeError("A statement made by SQLAlchemy is needed.")
        self._statement = statement
        compiled: Any = statement.compile(dialect=sqlite.dialect())
        self._text = str(compiled)
        self._order = tuple(compiled.positiontup or ())
        self._elsewhere = ""
        # What SQLAlchemy made a parameter by itself, such as the offset that SQLite's limit brings.
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def rows(self, connection: Connection, parameters: Parameters) -> list[Any]:
        """Run it and return all rows."""
        if self._constants:
            parameters = {**self._constants, **parameters}
        if connection.dialect.name != "sqlite":
            return list(connection.exec_driver_sql(self._words(), dict(parameters)))
        driver: Any = connection.connection.dbapi_connection
        found: list[Any] = driver.execute(self._text, [parameters[name] for name in self._order]).fetchall()
        return found

    def first(self, connection: Connection, parameters: Parameters) -> Any:
        """Run it and return the first row, or None."""
        found = self.rows(connection, parameters)
        return found[0] if found else None

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """Run it for what it changes.

        Raises:
            sqlalchemy.exc.IntegrityError: the database forbids the change.
        """
        self.run_all(connection, (parameters,))

    def run_all(self, connection: Connection, parameters: Sequence[Parameters]) -> None:
        """Run it once for each of the parameters, of which there is at least one.

        Raises:
            sqlalchemy.exc.IntegrityError: the database forbids a change.
        """
        if self._constants:
            parameters = [{**self._constants, **one} for one in parameters]
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql(self._words(), list(parameters))
            return
        driver: Any = connection.connection.dbapi_connection
        order = self._order
        try:
            for one in parameters:
                driver.execute(self._text, [one[name] for name in order])
        except sqlite3.IntegrityError as error:
            raise IntegrityError(self._text, None, error) from error

    def _words(self) -> str:
        if not self._elsewhere:
            dialect = psycopg.dialect()  # type: ignore[no-untyped-call]
            self._elsewhere = str(self._statement.compile(dialect=dialect))
        return self._elsewhere


class PreparedRows:
    """An insert of many rows, ``AT_ONCE`` of them with one statement.

    On SQLite a statement lets the interpreter go while it runs, and has to wait for it
    afterwards: on a thread beside a busy event loop that costs more than a row does.
    """

    AT_ONCE = 50

    def __init__(self, table: Table) -> None:
        """Take the table; rows name all its columns."""
        self._names = [column.name for column in table.columns]
        self._one = Prepared(table.insert())
        self._many = Prepared(
            table.insert().values(
                [{name: bindparam(f"{name}_{at}") for name in self._names} for at in range(self.AT_ONCE)]
            )
        )

    def run(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Insert the rows.

        Raises:
            sqlalchemy.exc.IntegrityError: one of them is there already.
        """
        whole = len(rows) - len(rows) % self.AT_ONCE
        for start in range(0, whole, self.AT_ONCE):
            some = rows[start : start + self.AT_ONCE]
            self._many.run(
                connection, {f"{name}_{at}": row[name] for at, row in enumerate(some) for name in self._names}
            )
        if rows[whole:]:
            self._one.run_all(connection, rows[whole:])
