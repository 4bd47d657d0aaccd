from __future__ import annotations

import json

import pytest

from landbridge_server.cli.main import main
from landbridge_server.identity import directory
from landbridge_server.identity.bootstrap import first_start
from landbridge_server.store.database import Database

ANNA = "anna@cloud.example"


@pytest.fixture
def data(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'landbridge.db'}")
    db.migrate()
    with db.writing() as connection:
        start = first_start(connection, 1000.0, "cloud.example")
        directory.create_user(connection, start.tenant_id, ANNA, "Anna", "Correct-Horse-1", 1000.0)
    db.close()
    return tmp_path


@pytest.fixture
def run(data, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["directory-role", *arguments, "--data", str(data)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def holders(run):
    _, out, _ = run("list", "-o", "json")
    return {(row["principal"], row["role"]) for row in json.loads(out)}


def test_the_first_administrators_are_global_administrators(run):
    assert [role for _, role in holders(run)] == ["Global Administrator"] * 2
    assert "admin@cloud.example" in {who for who, _ in holders(run)}


def test_a_role_is_given_once_and_taken_away(run):
    for _ in range(2):
        code, out, _ = run("assign", "--role", "user administrator", ANNA, "-o", "json")
        assert (code, json.loads(out)["role"]) == (0, "User Administrator")
    assert len(holders(run)) == 3
    assert (ANNA, "User Administrator") in holders(run)
    assert run("remove", "--role", "User Administrator", ANNA)[0] == 0
    assert len(holders(run)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("assign", "--role", "King", ANNA), "There is no directory role 'King'"),
        (("assign", "--role", "User Administrator", "nobody@cloud.example"), "There is no user"),
        (("remove", "--role", "User Administrator", ANNA), "does not hold the role"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run, words, said):
    code, _, err = run(*words)
    assert code == 1
    assert said in err
    assert len(holders(run)) == 2
