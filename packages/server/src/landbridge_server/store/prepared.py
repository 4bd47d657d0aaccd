"""Point reads of the hot path: a statement compiled once and run by the driver itself.

SQLAlchemy's own execution costs several times what SQLite needs for a point read. A
prepared read keeps SQLAlchemy's description of the statement and leaves its execution out:
no conversion of types (SQLite's booleans come as 0 and 1), no transaction of its own. Inside
a transaction it reads what that transaction sees.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select


class Prepared:
    """A select with named parameters, ready to be run."""

    def __init__(self, statement: Select[Any]) -> None:
        """Take a statement whose parameters are ``bindparam``s without expansion."""
        self._statement = statement
        self._compiled: dict[str, tuple[str, list[str] | None]] = {}

    def rows(self, connection: Connection, parameters: dict[str, Any]) -> list[Any]:
        """Run it and return all rows as plain tuples."""
        name = connection.dialect.name
        known = self._compiled.get(name)
        if known is None:
            compiled = self._statement.compile(dialect=connection.dialect)
            order = list(compiled.positiontup or ()) if compiled.positional else None
            known = self._compiled[name] = (str(compiled), order)
        text, order = known
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, parameters if order is None else [parameters[one] for one in order])
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def first(self, connection: Connection, parameters: dict[str, Any]) -> Any:
        """Run it and return the first row as a plain tuple, or None."""
        found = self.rows(connection, parameters)
        return found[0] if found else None
