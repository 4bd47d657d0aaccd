"""Handlers that hang, fork, fill the disk, print without end or die: one honest error, nothing left."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from landbridge_agent.extensions import commands
from landbridge_agent.work import tree
from landbridge_agent.work.processes import Limits

SAYS = {"enable": "say success 0 fine"}


@pytest.fixture
def work(host, monkeypatch):
    """Return what carries out an apply, and checks that nothing of it lives on."""

    def apply(**properties):
        said = {"publisher": "Contoso.Tools", "type": "Probe", **properties}
        task = host.task("apply", properties=said)
        outcome = host.carry_out(task)
        assert outcome.error_code == "HCRP400"
        assert tree.find(task.item.id) == set()
        return outcome.error_message

    return apply


def works_afterwards(host, shop) -> None:
    """The package was mended: the same resource succeeds."""
    shop.publish("1.1", cases=SAYS)
    assert host.apply(typeHandlerVersion="1.1").error_code == ""


@pytest.mark.parametrize("operation", ["install", "enable"])
def test_a_handler_that_hangs_is_ended_and_said_to_have_timed_out(host, shop, work, monkeypatch, operation):
    monkeypatch.setattr(commands, "SECONDS", {**commands.SECONDS, operation: 1.0})
    shop.publish("1.0", cases={**SAYS, operation: "trap '' TERM; setsid sleep 300 & sleep 300"})
    assert f"Extension timed out for {operation.title()}" in work()
    works_afterwards(host, shop)


def test_a_handler_that_forks_away_and_fails_leaves_no_process(host, shop, work):
    forks = "i=0; while [ $i -lt 40 ]; do (setsid sleep 300 &) ; i=$((i+1)); done"
    shop.publish("1.0", cases={"install": f"{forks}; exit 1"})
    assert "non-zero exit code for Install: 1" in work()
    works_afterwards(host, shop)


def test_what_a_failed_enable_left_running_is_ended(host, shop, work):
    shop.publish("1.0", cases={"enable": "(setsid sleep 300 >/dev/null 2>&1 &); say error 1 broken"})
    assert "Extension reported an error with code 1: broken" in work()


def test_a_handler_that_fills_the_disk_meets_a_bound(host, shop, work):
    host.limits = Limits(file_bytes=1024 * 1024)
    shop.publish("1.0", cases={"install": "exec dd if=/dev/zero of=big bs=65536 2>/dev/null"})
    assert "SIGXFSZ" in work()
    assert (host.folder() / "big").stat().st_size == 1024 * 1024
    works_afterwards(host, shop)


def test_a_gigabyte_of_output_is_counted_and_not_kept(host, shop, work):
    shop.publish("1.0", cases={"install": "head -c 1000000000 /dev/zero | tr '\\0' 'y'; exit 1"})
    text = work()
    assert "non-zero exit code for Install: 1" in text and len(text) < 10_000
    assert (
        host.paths.guest_configuration / "extension_logs/Contoso.Tools.Probe/install.stdout"
    ).stat().st_size < 17e6


def test_an_exit_by_signal_is_told(host, shop, work):
    shop.publish("1.0", cases={"install": "kill -SEGV $$"})
    assert "ended by a signal during Install" in work() and "SIGSEGV" in work()


def test_output_that_is_no_utf_8_is_text_in_the_error(host, shop, work):
    shop.publish("1.0", cases={"install": "printf 'bad \\377\\000 \\033[31mred' >&2; exit 1"})
    assert work().endswith("It said: bad \ufffd\ufffd \ufffd[31mred")


@pytest.mark.parametrize(
    "status",
    [
        "",
        "not json",
        "[]",
        "{}",
        '[{"status": 5}]',
        "[" * 100_000,
        "\ufeff[]",
        '[{"status":{"status":"odd"}}]',
    ],
)
def test_a_status_file_that_cannot_be_read_is_no_status(host, shop, status):
    cases = {"enable": "cp said status/0.status"}
    shop.publish("1.0", shop.zip(cases=cases, said=status.encode()))
    outcome = host.apply()
    assert outcome.error_code == ""
    assert "reports nothing" in outcome.properties["instanceView"]["status"]["message"]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("bin/none", "No such file or directory"),
        ("'", "cannot be read"),
        ("../../../bin/none -c true", "No such file or directory"),
        ("", "has no 'installCommand'"),
    ],
)
def test_a_manifest_whose_command_is_none_fails_with_that(host, shop, command, text):
    commands_of = {f"{name}Command": "true" for name in ("enable", "update", "disable", "uninstall")}
    manifest = [{"handlerManifest": {**commands_of, "installCommand": command}}]
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        archive.writestr("HandlerManifest.json", json.dumps(manifest))
    shop.publish("1.0", changed.getvalue())
    outcome = host.apply()
    assert outcome.error_code == "HCRP400" and text in outcome.error_message


def test_a_cancelled_enable_ends_and_says_so(host, shop):
    shop.publish("1.0", cases={"enable": "say transitioning 0 working; sleep 300"})
    task = host.task("apply", properties={"publisher": "Contoso.Tools", "type": "Probe"})
    (task.folder / "cancel").write_text("somebody")
    outcome = host.carry_out(task)  # without the cancellation it would take the 300 seconds
    assert "canceled" in outcome.error_message
