"""``landbridge audit``, and what operators change with other verbs, on each kind of store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from landbridge_server.cli import audit
from landbridge_server.cli.main import main
from landbridge_server.reconcile.flush_activity import HEAD_FILE
from landbridge_server.store import event_chain, events


@pytest.fixture
async def noted(cloud, arm):
    """A cloud with a few records."""
    await arm.group()
    await arm.machine()
    await arm.principal("nobody")
    await arm("DELETE", "resourcegroups/demo", by="nobody")
    await cloud.plane.settle()
    return cloud


@pytest.fixture
def run(cloud, capsys):
    def run(*arguments):
        code = main([*arguments, "--data", str(cloud.config.data), "--store", cloud.config.database_url])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def change(cloud, statement):
    with cloud.plane.db.writing() as connection:
        connection.execute(text(statement))


async def test_a_log_that_nobody_changed_is_whole(noted, run):
    code, out, _ = run("audit", "verify", "-o", "json")
    told = json.loads(out)
    assert code == 0
    assert (told["whole"], told["findings"], told["moreFindings"]) == (True, [], 0)
    assert told["records"] == told["head"]["record"] >= 4
    assert told["first"] <= told["last"]
    code, out, _ = run("audit", "verify")
    assert (code, out.splitlines()[-1]) == (0, "The log is whole.")
    assert f"head     {told['head']['hash']}" in out


async def test_a_record_that_was_changed_is_named_and_the_exit_code_is_1(noted, run):
    change(noted, "UPDATE events SET document = '{}' WHERE sequence = 2")
    code, out, _ = run("audit", "verify")
    assert code == 1
    assert "WRONG    Record 2 (event " in out
    assert out.endswith("The log is NOT whole.\n")
    code, out, _ = run("audit", "verify", "-o", "json")
    assert (code, json.loads(out)["findings"][0]["record"]) == (1, 2)


async def test_a_tail_that_was_cut_off_with_its_seal_does_not_fit_the_file(noted, run, arm):
    with noted.plane.db.reading() as connection:
        seal = connection.execute(text("SELECT value FROM settings WHERE name = 'activity_chain'")).scalar()
        end = events.newest(connection, 1)[0].sequence
    await arm.machine("web2")
    await noted.plane.settle()
    with noted.plane.db.writing() as connection:
        connection.execute(text(f"DELETE FROM events WHERE sequence > {end}"))
        statement = "UPDATE settings SET value = :seal WHERE name = 'activity_chain'"
        connection.execute(text(statement), {"seal": seal})
    code, out, _ = run("audit", "verify")
    assert code == 1
    assert f"but the log ends with record {end}." in out
    (noted.config.data / HEAD_FILE).unlink()
    assert run("audit", "verify")[0] == 0


async def test_the_control_plane_itself_says_what_it_finds(noted, run, arm):
    change(noted, "DELETE FROM events WHERE sequence > 2")
    await arm.machine("web2")
    await noted.plane.settle()
    await noted.plane.settle()
    code, out, _ = run("audit", "verify")
    assert code == 1
    assert "The control plane found at" in out
    _, out, _ = run("audit", "list", "-o", "json")
    assert json.loads(out)[-1]["operation"] == "Landbridge/activityLog/damaged/action"


async def test_an_expected_head_must_be_in_the_log(noted, run, arm):
    head = json.loads(run("audit", "verify", "-o", "json")[1])["head"]["hash"]
    await arm.machine("web2")
    await noted.plane.settle()
    assert run("audit", "verify", "--expect-head", head)[0] == 0
    assert run("audit", "verify", "--expect-head", "0" * 64)[0] == 1


async def test_verify_needs_the_folder_with_the_keys(noted, capsys, tmp_path):
    code = main(["audit", "verify", "--data", str(tmp_path), "--store", noted.config.database_url])
    assert code == 1
    assert "There are no keys in" in capsys.readouterr().err


async def test_a_file_that_cannot_be_read_is_said(noted, run):
    (noted.config.data / HEAD_FILE).write_text("nonsense")
    code, _, err = run("audit", "verify")
    assert code == 1
    assert f"{HEAD_FILE} cannot be read" in err


async def test_the_list_shows_who_did_what_and_how_it_ended(noted, run):
    code, out, _ = run("audit", "list", "--last", "2", "-o", "json")
    rows = json.loads(out)
    assert (code, len(rows)) == (0, 2)
    refused = rows[-1]
    assert refused["operation"] == "Microsoft.Resources/subscriptions/resourceGroups/delete"
    assert (refused["outcome"], refused["address"]) == ("Failed (Forbidden)", "127.0.0.1")
    assert "operation" in run("audit", "list")[1]


async def test_an_export_holds_all_that_the_hashes_cover(noted, run):
    lines = [json.loads(line) for line in run("audit", "export")[1].splitlines()]
    previous = ""
    for number, line in enumerate(lines, 1):
        document = json.dumps(line["event"], separators=(",", ":"), ensure_ascii=False)
        event = events.Event(*line["columns"], document)
        previous = event_chain.hash_of(previous, number, event)
        assert (line["sequence"], line["hash"]) == (number, previous)
    after = run("audit", "export", "--after", str(len(lines) - 1))[1]
    assert json.loads(after) == lines[-1]


async def test_what_operators_change_is_in_the_log_without_secrets(noted, run):
    before = json.loads(run("audit", "verify", "-o", "json")[1])["records"]
    made = json.loads(run("sp", "create", "--name", "deploy", "--role", "Reader", "-o", "json")[1])
    secrets = [
        made["clientSecret"],
        json.loads(run("sp", "reset", "deploy", "-o", "json")[1])["clientSecret"],
    ]
    domain = noted.admin["userName"].partition("@")[2]
    user = run("user", "create", f"anna@{domain}", "--generate-password", "-o", "json")
    secrets.append(json.loads(user[1])["password"])
    run("subscription", "create", "Second")
    run("tenant", "create", "fabrikam.example")
    run("tenant", "require-mfa", "fabrikam.example")
    run("sp", "list")
    run("user", "list")
    run("sp", "delete", "deploy")
    exported = run("audit", "export", "--after", str(before))[1]
    found = [json.loads(line)["event"] for line in exported.splitlines()]
    assert [one["operationName"]["value"] for one in found] == [
        "Landbridge/servicePrincipals/create/action",
        "Landbridge/servicePrincipals/reset/action",
        "Landbridge/users/create/action",
        "Landbridge/subscriptions/create/action",
        "Landbridge/tenants/create/action",
        "Landbridge/tenants/requireSecondFactor/action",
        "Landbridge/servicePrincipals/delete/action",
    ]
    assert all(one["caller"].startswith("operator:") for one in found)
    assert found[0]["properties"]["role"] == "Reader"
    assert not any(secret in exported for secret in secrets)
    assert run("audit", "verify")[0] == 0


async def test_the_control_plane_goes_on_behind_what_an_operator_wrote(noted, run, arm):
    run("subscription", "create", "Second")
    await arm.machine("web2")
    await noted.plane.settle()
    assert run("audit", "verify")[0] == 0


async def test_a_change_without_the_keys_is_made_and_said_not_to_be_noted(noted, capsys, tmp_path):
    arguments = ["--data", str(tmp_path), "--store", noted.config.database_url]
    assert main(["subscription", "create", "Second", *arguments]) == 0
    assert "not in the activity log" in capsys.readouterr().err


def test_every_verb_that_writes_into_the_store_notes_it():
    verbs = [one for one in Path(audit.__file__).parent.glob("*.py") if "db.writing()" in one.read_text()]
    assert len(verbs) >= 5
    assert [one.name for one in verbs if "noted(" not in one.read_text()] == []
