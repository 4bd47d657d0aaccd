from __future__ import annotations

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from landbridge_server.store.database import Database
from landbridge_server.store.prepared import Prepared, PreparedRows
from landbridge_server.store.schema import settings

ADD = PreparedRows(settings)
LARGE = Prepared(
    select(settings.c.name)
    .where(settings.c.name > bindparam("after"), settings.c.value == "large")
    .order_by(settings.c.name)
    .limit(bindparam("most"))
)


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        yield opened
    db.close()


def rows(count, value="large"):
    return [{"name": f"n{number:04}", "value": value} for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 120])
def test_as_many_rows_are_inserted_as_are_given(connection, count):
    ADD.run(connection, rows(count))
    found = LARGE.rows(connection, {"after": "", "most": 1000})
    assert [row[0] for row in found] == [row["name"] for row in rows(count)]


def test_values_in_the_statement_and_parameters_go_together(connection):
    ADD.run(connection, [*rows(3), {"name": "n9", "value": "small"}])
    assert LARGE.first(connection, {"after": "n0000", "most": 1})[0] == "n0001"
    assert LARGE.first(connection, {"after": "n0002", "most": 1}) is None


def test_what_the_database_forbids_has_one_name_on_both_stores(connection):
    with pytest.raises(IntegrityError):
        ADD.run(connection, [*rows(1), *rows(1)])
