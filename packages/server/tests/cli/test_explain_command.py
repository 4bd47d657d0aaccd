from __future__ import annotations

import json

import pytest

from landbridge_server.arm.grants import grant
from landbridge_server.arm.roles import CONTRIBUTOR
from landbridge_server.cli.main import main
from landbridge_server.identity import directory
from landbridge_server.identity.bootstrap import first_start
from landbridge_server.store import groups, subscriptions
from landbridge_server.store.database import Database
from landbridge_server.store.groups import Group
from landbridge_server.store.subscriptions import Subscription

READ = "Microsoft.HybridCompute/machines/read"
GIVE = "Microsoft.Authorization/roleAssignments/write"


@pytest.fixture
def data(tmp_path):
    """A store with ``robot``, who is a contributor as a member of ``Team``."""
    db = Database(f"sqlite:///{tmp_path / 'landbridge.db'}")
    db.migrate()
    with db.writing() as connection:
        start = first_start(connection, 1000.0, "cloud.example")
        tenant = start.tenant_id
        subscriptions.add(connection, Subscription("s1", tenant, "First", "Enabled", 1000.0))
        object_id, _, _ = directory.create_service_principal(connection, tenant, "robot", 1000.0)
        groups.add(connection, Group("team", tenant, "Team", "team", "team", "{}", 0.0))
        groups.add_member(connection, "team", object_id)
        grant(
            connection,
            tenant_id=tenant,
            principal_id="team",
            principal_type="Group",
            role=CONTRIBUTOR,
            scope="/subscriptions/s1",
            now=0.0,
        )
    db.close()
    return tmp_path


@pytest.fixture
def explain(data, capsys):
    def call(action, scope, *more, principal="robot"):
        words = ["explain", "--data", str(data), "--principal", principal]
        status = main([*words, "--action", action, "--scope", scope, *more])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_person_reads_the_verdict_and_the_way(explain):
    status, out, _ = explain(READ, "/subscriptions/s1/resourceGroups/g")
    assert status == 0
    assert out.startswith("ALLOWED: ")
    assert "Contributor at /subscriptions/s1, by *, through Team" in out


def test_a_denial_says_what_comes_closest(explain):
    _, out, _ = explain(GIVE, "/subscriptions/s1")
    assert out.startswith("DENIED: ")
    assert "less Microsoft.Authorization/*/Write, through Team" in out
    assert "Roles that would allow it here, the narrowest first:" in out


def test_programs_get_json(explain):
    status, out, _ = explain(READ, "/", "-o", "json")
    told = json.loads(out)
    assert (status, told["allowed"], told["scope"]) == (0, False, "/")
    assert told["elsewhere"][0]["groups"] == [{"id": "team", "displayName": "Team"}]


def test_a_subscription_that_is_not_there_is_told(explain):
    _, out, _ = explain(READ, "/subscriptions/nowhere/resourceGroups/g")
    assert "the subscription 'nowhere' does not exist" in out


@pytest.mark.parametrize(
    ("principal", "action", "scope", "said"),
    [
        ("nobody", READ, "/", "There is no principal or group 'nobody'"),
        ("robot", "", "/", "--action must be an action"),
        ("robot", READ, "nonsense", "is not '/' and no id"),
    ],
)
def test_a_question_that_is_none_is_refused_in_one_line(explain, principal, action, scope, said):
    status, out, err = explain(action, scope, principal=principal)
    assert (status, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_name_that_two_have_is_refused_with_their_ids(explain, data):
    db = Database(f"sqlite:///{data / 'landbridge.db'}")
    with db.writing() as connection:
        groups.add(connection, Group("other", "t", "robot", "robot", "robot", "{}", 0.0))
    db.close()
    status, _, err = explain(READ, "/")
    assert status == 1
    assert "is the name of 2 principals" in err
