"""``azcmagent extension`` tells what is on the machine, and removes it by the handler's own commands."""

from __future__ import annotations

import io
import json
import time

import pytest

from landbridge_agent.cli.run import run
from landbridge_agent.extensions.context import locked

SAYS = {"enable": "say success 0 fine"}


@pytest.fixture
def azcmagent(host):
    def call(*words):
        out, err = io.StringIO(), io.StringIO()
        environment = {"LANDBRIDGE_AGENT_ROOT": str(host.paths.root), "PATH": "/usr/bin:/bin"}
        return run(words, environment, time.time, out, err), out.getvalue(), err.getvalue()

    return call


def test_list_shows_each_extension_with_its_resource_state_and_history(host, shop, azcmagent):
    shop.publish("1.0", cases=SAYS)
    host.apply("probe-one")
    host.script(commandToExecute="exit 3")
    code, out, _ = azcmagent("extension", "list")
    rows = [line.split() for line in out.splitlines()[1:]]
    assert code == 0 and rows == [
        ["Contoso.Tools", "Probe", "1.0", "probe-one", "Succeeded"],
        ["Microsoft.Azure.Extensions", "CustomScript", "2.1.13", "script", "Failed"],
    ]
    found = json.loads(azcmagent("extension", "list", "--json")[1])["extensions"]
    assert [event["operation"] for event in found[0]["history"]] == ["install", "enable"]
    assert "exit status=3" in found[1]["history"][-1]["outcome"]
    assert "probe-one: 2" in azcmagent("extension", "list", "--verbose")[1]


@pytest.mark.parametrize("name", ["probe-one", "Probe", "contoso.tools.probe"])
def test_remove_uninstalls_by_the_name_of_the_resource_or_of_the_handler(host, shop, azcmagent, name):
    shop.publish("1.0", cases=SAYS)
    host.apply("probe-one")
    code, out, _ = azcmagent("extension", "remove", "--name", name)
    assert (code, out) == (0, "Removed probe-one: Contoso.Tools.Probe-1.0 was uninstalled.\n")
    assert host.calls()[2:] == ["disable 1.0 0", "uninstall 1.0 0"] and host.left() == []
    assert azcmagent("extension", "list")[1] == "No extensions are installed.\n"


def test_remove_all_removes_what_this_agent_installed_also_with_a_damaged_configuration(
    host, shop, azcmagent
):
    shop.publish("1.0", cases=SAYS)
    host.apply("probe-one")
    host.script(commandToExecute="true")
    host.paths.local_config.parent.mkdir(parents=True)
    host.paths.local_config.write_text("damaged")
    code, out, _ = azcmagent("extension", "remove", "--all", "--json")
    assert code == 0 and json.loads(out) == {"removed": ["probe-one", "script"]} and host.left() == []


def test_a_removal_that_fails_says_so_and_the_second_one_goes_without_the_command(host, shop, azcmagent):
    shop.publish("1.0", cases={**SAYS, "uninstall": "echo stuck >&2; exit 4"})
    host.apply("probe-one")
    code, _, err = azcmagent("extension", "remove", "--name", "probe")
    assert code == 72 and "non-zero exit code for Uninstall: 4. It said: stuck" in err
    assert host.folder().exists()
    code, out, _ = azcmagent("extension", "remove", "--name", "probe")
    assert code == 0 and "was removed although its command failed" in out and host.left() == []


def test_a_removal_does_not_get_into_the_way_of_another_operation(host, shop, azcmagent, monkeypatch):
    from landbridge_agent.extensions import local

    monkeypatch.setattr(local, "TURN_SECONDS", 0.3)
    shop.publish("1.0", cases=SAYS)
    host.apply("probe-one")
    with locked(host.paths.extensions, 1):
        code, _, err = azcmagent("extension", "remove", "--all")
    assert code == 72 and "Another operation works on this machine's extensions" in err
    assert host.folder().exists()
