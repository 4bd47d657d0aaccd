"""Point reads of the hot path: on SQLite, run by the driver itself.

SQLAlchemy's own execution costs several times what SQLite needs for a point read. A
prepared read keeps SQLAlchemy's description of the statement and leaves its execution out:
no conversion of types (booleans come as 0 and 1), and no transaction is begun; inside one it
sees what that sees. Elsewhere the round trip costs more than anything here, and SQLAlchemy
runs the statement as usual.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.dialects import sqlite


class Prepared:
    """A select with named parameters, ready to be run."""

    def __init__(self, statement: Select[Any]) -> None:
        """Take a statement whose parameters are ``bindparam``s without expansion."""
        self._statement = statement
        compiled = statement.compile(dialect=sqlite.dialect())
        self._text = str(compiled)
        self._order = list(compiled.positiontup or ())

    def rows(self, connection: Connection, parameters: dict[str, Any]) -> list[Any]:
        """Run it and return all rows."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, parameters))
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._text, [parameters[name] for name in self._order])
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def first(self, connection: Connection, parameters: dict[str, Any]) -> Any:
        """Run it and return the first row, or None."""
        found = self.rows(connection, parameters)
        return found[0] if found else None
