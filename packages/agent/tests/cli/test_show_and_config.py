"""``azcmagent show`` and ``azcmagent config``."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

LABELS_2019 = [
    "Resource Name",
    "Resource Group Name",
    "Subscription ID",
    "Tenant ID",
    "VM ID",
    "Location",
    "Agent Version",
    "Agent Logfile",
    "Agent Status",
    "Agent Last Heartbeat",
]


async def test_show_keeps_the_originals_labels_and_column(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
    lines = (await azcmagent("show")).out.splitlines()
    labels = [line.partition(":")[0].strip() for line in lines]
    assert [label for label in labels if label in LABELS_2019] == LABELS_2019
    assert all(line.index(":") == 40 for line in lines if ":" in line)
    assert "Location                                : local" in lines


async def test_show_json_has_the_keys_that_scripts_read(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
    shown = json.loads((await azcmagent("show", "-j")).out)
    assert shown["status"] == "Disconnected"
    assert shown["resourceName"] == "m1" and shown["resourceGroup"] == "rg"
    assert shown["resourceId"].endswith("/machines/m1")
    for key in (
        "lastHeartbeat",
        "subscriptionId",
        "tenantId",
        "location",
        "agentVersion",
        "vmId",
        "httpsProxy",
    ):
        assert key in shown


async def test_show_without_a_daemon_says_so(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
    assert "himdsd is not running" in (await azcmagent("show")).out


async def test_properties_are_chosen_by_label_or_key(azcmagent):
    by_label = await azcmagent("show", "Agent Status", "Agent Version")
    by_key = await azcmagent("show", "status", "agentVersion")
    assert by_label.out == by_key.out
    assert len(by_key.out.splitlines()) == 2
    assert (await azcmagent("show", "nonsense")).code == 23


async def test_config_list_prints_the_originals_text(azcmagent):
    assert (await azcmagent("config", "list")).out == (
        "Local Configuration Settings\n"
        "  incomingconnections.enabled (preview)                 : true\n"
        "  incomingconnections.ports (preview)                   : []\n"
        "  connection.type                                       : default\n"
        "  proxy.url                                             : \n"
        "  proxy.bypass                                          : []\n"
        "  extensions.allowlist                                  : []\n"
        "  extensions.blocklist                                  : []\n"
        "  extensions.enabled                                    : true\n"
        "  guestconfiguration.enabled                            : true\n"
        "  guestconfiguration.scripts.enabled                    : false\n"
        "  config.mode                                           : full\n"
        "  guestconfiguration.agent.cpulimit                     : 5\n"
        "  extensions.agent.cpulimit                             : 5\n"
    )


async def test_config_list_in_json(azcmagent):
    await azcmagent("config", "set", "incomingconnections.ports", "22,2222")
    listed = json.loads((await azcmagent("config", "list", "-j")).out)["localsettings"]
    assert {"key": "incomingconnections.ports", "value": ["22", "2222"]} in listed


async def test_config_set_replaces_adds_and_removes(azcmagent):
    ran = await azcmagent("config", "set", "incomingconnections.ports", "22")
    assert ran.out == "Config property incomingconnections.ports set to value 22\n"
    await azcmagent("config", "set", "incomingconnections.ports", "23,24", "--add")
    await azcmagent("config", "set", "incomingconnections.ports", "22", "-r")
    assert (await azcmagent("config", "get", "incomingconnections.ports")).out == "[23,24]\n"
    await azcmagent("config", "clear", "incomingconnections.ports")
    assert (await azcmagent("config", "get", "incomingconnections.ports")).out == "[]\n"


async def test_config_keeps_properties_that_it_does_not_know(azcmagent):
    azcmagent.paths.local_config.parent.mkdir(parents=True)
    azcmagent.paths.local_config.write_text('{"later.property": "http://p:1"}')
    await azcmagent("config", "set", "incomingconnections.enabled", "false")
    stored = json.loads(azcmagent.paths.local_config.read_text())
    assert stored == {"later.property": "http://p:1", "incomingconnections.enabled": False}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 16),
        (("set", "incomingconnections.ports"), 16),
        (("set", "incomingconnections.ports", "70000"), 23),
        (("set", "incomingconnections.ports", "22", "23"), 23),
        (("set", "incomingconnections.enabled", "perhaps"), 23),
        (("set", "no.such.property", "1"), 23),
        (("get", "no.such.property"), 23),
        (("frobnicate",), 23),
    ],
)
async def test_config_refuses_what_does_not_fit(azcmagent, words, code):
    ran = await azcmagent("config", *words)
    assert ran.code == code
    assert "Traceback" not in ran.err


async def test_a_damaged_local_configuration_is_named(azcmagent):
    azcmagent.paths.local_config.parent.mkdir(parents=True)
    azcmagent.paths.local_config.write_text("{")
    ran = await azcmagent("config", "list")
    assert ran.code == 70
    assert "localconfig.json" in ran.err


async def test_changes_at_once_lose_nothing(azcmagent):
    ports = [str(port) for port in range(1001, 1021)]
    ran = await asyncio.gather(
        *(azcmagent("config", "set", "incomingconnections.ports", port, "--add") for port in ports)
    )
    assert {one.code for one in ran} == {0}
    stored = json.loads(azcmagent.paths.local_config.read_text())
    assert sorted(stored["incomingconnections.ports"]) == ports


async def test_a_password_is_read_from_standard_input_and_never_printed(azcmagent, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("http://user:hush@proxy:3128\n"))
    ran = await azcmagent("config", "set", "proxy.url", "-")
    assert ran.out == "Config property proxy.url set to value http://***@proxy:3128\n"
    assert json.loads(azcmagent.paths.local_config.read_text()) == {
        "proxy.url": "http://user:hush@proxy:3128"
    }
    for words in (("config", "list"), ("config", "list", "-j"), ("config", "get", "proxy.url"), ("show",)):
        assert "hush" not in (await azcmagent(*words)).out
    assert azcmagent.paths.local_config.stat().st_mode & 0o777 == 0o600


async def test_what_is_refused_makes_no_folder(azcmagent):
    assert (await azcmagent("config", "set", "proxy.url", "ftp://x")).code == 23
    assert not azcmagent.paths.state.exists()


async def test_info_describes_every_property(azcmagent):
    told = json.loads((await azcmagent("config", "info", "-j")).out)["properties"]
    assert len(told) == 13
    assert all(one["description"] and one["type"] for one in told)
    text = (await azcmagent("config", "info", "config.mode")).out
    assert "full or monitor" in text and "Default: full" in text
