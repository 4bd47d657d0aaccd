"""What the configuration is made of, without a cloud; tests/e2e logs in with it."""

from __future__ import annotations

import json

import pytest

from landbridge_server.cli import ssh_config
from landbridge_server.cli.main import main

GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines"


class Cloud:
    """Stands for the resource manager: two machines, one without host keys."""

    subscription_id = "s"
    ca_file = None

    def listed(self, path):
        keys = {"sshHostKeys:22": "ssh-ed25519 AAAA"}
        return [
            {"id": f"{GROUP}/web1", "name": "web1", "properties": {"detectedProperties": keys}},
            {"id": f"{GROUP}/mute", "name": "mute", "properties": {}},
        ]

    def call(self, method, path, body=None):
        if method == "GET":
            return next(one for one in self.listed("") if path.split("?")[0].endswith(one["name"]))
        return {"relay": {}}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    (tmp_path / "admin.json").write_text("{}")
    monkeypatch.setattr(ssh_config, "open_cloud", lambda data, ca_file: Cloud())
    monkeypatch.setattr(ssh_config, "_proxy", lambda: "/usr/bin/sshProxy")

    def call(*arguments):
        code = main(["ssh-config", "--data", str(tmp_path), "-g", "g", *arguments])
        return code, *capsys.readouterr()

    return call


def test_a_machine_without_host_keys_does_not_keep_the_others_out(run):
    code, out, error = run()
    assert (code, out.count("Host ")) == (0, 1)
    assert "web1" in out
    assert "left out" in error
    assert "mute" in error


def test_a_named_machine_without_host_keys_is_an_error(run):
    code, out, error = run("--name", "mute")
    assert (code, out) == (1, "")
    assert "has not reported the host keys" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ("--user", "root\n    ProxyCommand touch /tmp/x"),
        ("--user", ""),
        ("--name", ""),
        ("--name", "a/../b?c"),
    ],
)
def test_words_that_would_change_the_configuration_are_refused(run, arguments):
    code, out, error = run(*arguments)
    assert (code, out) == (1, "")
    assert "is not a name" in error


def test_an_admin_file_that_lacks_members_is_named_with_them(tmp_path, capsys):
    (tmp_path / "admin.json").write_text(json.dumps({"clientId": "x"}))
    assert main(["ssh-config", "--data", str(tmp_path), "-g", "g"]) == 1
    assert "has no resourceManager, tenantId" in capsys.readouterr().err


def test_a_ca_file_that_holds_none_is_refused_in_one_line(tmp_path, capsys):
    names = ("resourceManager", "tenantId", "subscriptionId", "clientId", "clientSecret")
    content = dict.fromkeys(names, "x") | {"caFile": str(tmp_path / "admin.json")}
    (tmp_path / "admin.json").write_text(json.dumps(content))
    assert main(["ssh-config", "--data", str(tmp_path), "-g", "g"]) == 1
    assert "CA file" in capsys.readouterr().err
