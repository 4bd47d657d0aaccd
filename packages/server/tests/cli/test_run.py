"""``landbridge run`` against a served cloud whose machines truly run what they are given."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

from landbridge_server.cli import fleet_run
from landbridge_server.cli.main import main


@pytest.fixture
def fleet(small_fleet, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    small_fleet.ran.clear()
    small_fleet.most_at_once = 0
    return small_fleet


@pytest.fixture
def run(fleet, capsys):
    def call(*arguments):
        code = main(["run", "--data", fleet.data, *arguments])
        return code, *capsys.readouterr()

    return call


def rows(text):
    return {one["machine"]: one for one in json.loads(text)}


def until(what):
    for _ in range(500):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("It did not come to that.")


def test_a_command_runs_once_on_each_machine_with_the_tag_and_leaves_nothing_behind(run, fleet):
    code, out, said = run("--tag", "role=web", "--", "sh", "-c", 'echo first; echo "I am $MACHINE"')
    assert code == 0, said
    lines = [line.split() for line in out.splitlines()[2:]]
    assert [line[:3] for line in lines] == [[f"web{number}", "Succeeded", "0"] for number in range(1, 6)]
    assert "I am web3" in out
    assert "5 machines, at most 50 at once." in said
    assert "5 Succeeded" in said
    assert sorted(name for name, _ in fleet.ran) == ["web1", "web2", "web3", "web4", "web5"]
    until(lambda: not fleet.run_commands())


def test_words_arrive_as_the_words_that_they_were(run):
    words = ("it's", '$HOME `id` "x"', "a  b", "--", "")
    code, out, _ = run("-g", "servers", "-n", "web1", "-o", "json", "--", "printf", "<%s>", *words)
    assert code == 0
    assert rows(out)["web1"]["output"] == "".join(f"<{word}>" for word in words)


def test_a_script_gets_arguments_and_parameters(run, tmp_path):
    (tmp_path / "check.sh").write_text('echo "$LEVEL:$1:$2"\n')
    script = str(tmp_path / "check.sh")
    code, out, _ = run(
        "-n", "web1", "--script", script, "--param", "LEVEL=a b", "-o", "json", "--", "one", "two words"
    )
    assert (code, rows(out)["web1"]["lastLine"]) == (0, "a b:one:two words")


def test_a_failure_is_told_with_its_exit_code_and_last_line(run):
    code, out, said = run(
        "--tag", "role=web", "-o", "json", "--",
        "sh", "-c", 'echo "so far"; echo "oh \x1b[2Jno" >&2; [ $MACHINE != web2 ] || exit 7',
    )  # fmt: skip
    found = rows(out)
    assert code == 3
    assert (found["web2"]["state"], found["web2"]["exitCode"], found["web2"]["lastLine"]) == (
        "Failed",
        7,
        "so far",
    )
    assert found["web1"]["state"] == "Succeeded"
    assert "1 Failed, 4 Succeeded" in said


def test_what_could_steer_a_terminal_is_not_shown(run):
    _, out, _ = run("-n", "web1", "--", "printf", "a\x1b]0;title\x07b")
    assert "\x1b" not in out
    assert "\x07" not in out


def test_a_failed_canary_keeps_the_others_from_it(run, fleet):
    code, out, said = run("--tag", "role=web", "--canary", "20%", "-o", "json", "--", "false")
    states = [one["state"] for one in rows(out).values()]
    assert (code, sorted(states)) == (4, ["Failed", "NotStarted", "NotStarted", "NotStarted", "NotStarted"])
    assert len(fleet.ran) == 1
    assert "Stopped: 1 of 1 canaries failed" in said


def test_never_more_at_once_than_allowed(run, fleet):
    code, _, _ = run("--tag", "role=web", "--max-concurrent", "2", "--", "sleep", "0.2")
    assert (code, fleet.most_at_once) == (0, 2)


def test_it_stops_after_so_many_failures(run, fleet):
    code, _, said = run("--tag", "role=web", "--max-concurrent", "1", "--stop-on-failure=2", "--", "false")
    assert (code, len(fleet.ran)) == (4, 2)
    assert "Stopped: 2 of 5 machines failed" in said


def test_machines_that_are_not_connected_are_skipped_and_named(run, fleet):
    code, out, said = run("-g", "servers", "-o", "json", "--", "true")
    assert code == 5
    assert rows(out)["db1"]["state"] == "Skipped"
    assert "Skipped, because they are not connected: db1." in said
    assert "db1" not in [name for name, _ in fleet.ran]


def test_it_waits_for_a_machine_that_comes_back(run, fleet, monkeypatch):
    monkeypatch.setattr(fleet_run, "AWAY_LOOK", 0.2)
    timer = threading.Timer(1.0, fleet.come, ["db1"])
    timer.start()
    try:
        code, out, _ = run("-n", "db1", "-n", "web1", "--disconnected", "wait", "-o", "json", "--", "true")
    finally:
        timer.join()
        until(lambda: not fleet.run_commands())
        fleet.go("db1")
    assert (code, rows(out)["db1"]["state"]) == (0, "Succeeded")


def test_a_query_selects_machines(run, fleet):
    query = "resources | where type =~ 'Microsoft.HybridCompute/machines' and name endswith '2' | project id"
    code, _, _ = run("--query", query, "--", "true")
    assert code == 0
    assert [name for name, _ in fleet.ran] == ["web2"]


def test_a_tag_may_hold_what_the_language_of_queries_uses(run, fleet):
    code, _, _ = run("--tag", "odd=it's \\ so", "-n", "web4", "--", "true")
    assert (code, [name for name, _ in fleet.ran]) == (0, ["web4"])


def test_output_is_followed_line_by_line(run):
    code, out, _ = run("-n", "web1", "--follow", "--", "sh", "-c", "echo one; echo two >&2; printf three")
    assert code == 0
    assert {"web1: one", "web1: two", "web1: three"} <= set(out.splitlines())


def test_an_interruption_cancels_what_runs(run, fleet):
    def interrupt():
        until(lambda: len(fleet.ran) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, out, said = run("--tag", "role=web", "--max-concurrent", "2", "-o", "json", "--", "sleep", "60")
    thread.join()
    states = sorted(one["state"] for one in rows(out).values())
    assert (code, states) == (130, ["Canceled", "Canceled", "NotStarted", "NotStarted", "NotStarted"])
    assert "Ctrl-C again leaves it running" in said
    until(lambda: not fleet.run_commands())


def test_a_run_that_was_left_can_be_shown_and_taken_up_again(run, fleet, tmp_path):
    def interrupt():
        until(lambda: fleet.ran)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    flag = tmp_path / "flag"
    thread = threading.Thread(target=interrupt)
    thread.start()
    words = ("sh", "-c", f"trap '' TERM; while [ ! -e {flag} ]; do sleep 0.05; done")
    code, out, said = run("--tag", "role=web", "--max-concurrent", "1", "--", *words)
    thread.join()
    assert (code, out) == (130, "")
    name = said.split("--resume ")[1].split()[0]
    assert name.startswith("fleet-")
    flag.touch()
    code, out, _ = run("--show", name, "-o", "json")
    assert (code, list(rows(out))) == (0, ["web1"])
    code, out, said = run("--resume", name, "-o", "json")
    # What was canceled by the first Ctrl-C may have been ended by it, or not any more.
    assert code in (0, 3)
    assert list(rows(out)) == ["web1", "web2", "web3", "web4", "web5"]
    assert sorted(one for one, _ in fleet.ran) == ["web1", "web2", "web3", "web4", "web5"]
    assert run("--resume", name)[0] == 1


def test_a_caller_without_the_right_is_refused_machine_by_machine(run, fleet, monkeypatch, tmp_path):
    client, secret = fleet.principal("reader", "Reader")
    admin = json.loads((fleet.cloud.config.data / "admin.json").read_text())
    (tmp_path / "admin.json").write_text(json.dumps(admin | {"clientId": client, "clientSecret": secret}))
    code, out, _ = run("--data", str(tmp_path), "--tag", "role=web", "-o", "json", "--", "true")
    assert code == 3
    assert {one["state"] for one in rows(out).values()} == {"Refused"}
    assert "(AuthorizationFailed)" in rows(out)["web1"]["message"]
    assert fleet.ran == []


def test_a_token_of_the_environment_is_enough(fleet, capsys, monkeypatch, tmp_path):
    import asyncio

    token = asyncio.run_coroutine_threadsafe(fleet.cloud.token(), fleet.loop).result(30)
    monkeypatch.setenv("LANDBRIDGE_ACCESS_TOKEN", token)
    ca = str(fleet.cloud.config.data / "ca/root.pem")
    arguments = ["run", "--data", str(tmp_path), "--ca-file", ca, "-n", "web1", "--", "true"]
    assert main(arguments) == 1
    assert "LANDBRIDGE_RESOURCE_MANAGER and LANDBRIDGE_SUBSCRIPTION must be" in capsys.readouterr().err
    monkeypatch.setenv("LANDBRIDGE_RESOURCE_MANAGER", fleet.cloud.config.endpoints.resource_manager)
    monkeypatch.setenv("LANDBRIDGE_SUBSCRIPTION", fleet.cloud.subscription.rsplit("/", 1)[-1])
    assert main(arguments) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--tag", "role=nobody"), "No machine matches"),
        (("-n", "db1"), "None of the 1 machines is connected"),
        (("--query", "this is no query"), "(BadRequest)"),
        (("--query", "resources | project name"), "no 'id'"),
        (("--query", "resourcecontainers | project id"), "no machine"),
        (("--tag", "a\x00b=c"), "cannot be asked for"),
    ],
)
def test_what_finds_no_machines_runs_nothing(run, fleet, arguments, text):
    code, out, said = run(*arguments, "--", "true")
    assert (code, out, fleet.ran) == (1, "", [])
    assert text in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--tag", "role", "--", "true"), "is not NAME=VALUE"),
        (("--tag", "=web", "--", "true"), "is not NAME=VALUE"),
        (("--tag", "a=b", "--canary", "101%", "--", "true"), "at most 100"),
        (("--tag", "a=b", "--canary", "0", "--", "true"), "more than 0"),
        (("--tag", "a=b", "--canary", "five", "--", "true"), "is not a number of machines"),
        (("--tag", "a=b", "--stop-on-failure=-1", "--", "true"), "is not a number of machines"),
        (("--tag", "a=b", "--max-concurrent", "0", "--", "true"), "from 1 to 1,000"),
        (("--tag", "a=b", "--timeout", "soon", "--", "true"), "whole number"),
        (("--query", " ", "--", "true"), "the query is empty"),
        (("--query", "resources", "--tag", "a=b", "--", "true"), "not both"),
        (("--", "true"), "say which machines"),
        (("--tag", "a=b"), "say what to run"),
        (("--tag", "a=b", "true"), "put -- before the command"),
        (("--tag", "a=b", "--param", "x y=1", "--", "true"), "environment variable"),
        (("--tag", "a=b", "--follow", "-o", "json", "--", "true"), "one of them"),
        (("--resume", "x", "--", "true"), "take the name of a run"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(run, fleet, capsys, arguments, text):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../etc/passwd", "x' or 1", "fleet-20200101T000000Z-00000000"])
@pytest.mark.parametrize("flag", ["--show", "--resume"])
def test_a_run_that_is_not_there_is_named(run, name, flag):
    code, _, said = run(flag, name)
    assert code == 1
    assert name in said
