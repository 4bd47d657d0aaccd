"""``landbridge join-code``, and what a code is worth at the token endpoint."""

from __future__ import annotations

import base64
import json

import pytest

from landbridge_server.cli.main import main
from landbridge_server.identity.join_codes import GRANT
from landbridge_server.store import principals


def content_of(text: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def where(cloud) -> tuple[str, ...]:
    return ("--data", str(cloud.config.data), "--store", cloud.config.database_url)


@pytest.fixture
async def make(cloud, capsys, monkeypatch):
    await cloud.arm("PUT", cloud.subscription + "/resourcegroups/servers", {"location": "local"})
    monkeypatch.setattr("time.time", cloud.clock)

    def create(*words: str) -> dict:
        code = main(["join-code", "create", *words, "-o", "json", *where(cloud)])
        assert code == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return create


async def exchange(cloud, text: str, **changed: str):
    content = content_of(text)
    form = {
        "grant_type": GRANT,
        "client_id": content["clientId"],
        "join_code": content["secret"],
        "scope": f"{cloud.config.endpoints.audience}/.default",
    } | changed
    return await cloud.client.post(f"/{cloud.admin['tenantId']}/oauth2/v2.0/token", data=form)


async def test_a_code_gives_a_token_that_may_onboard_in_its_group_and_nothing_else(cloud, make):
    made = make("--resource-group", "servers")
    answer = await exchange(cloud, made["joinCode"])
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    group = cloud.subscription + "/resourcegroups/servers"
    machine = f"{group}/providers/Microsoft.HybridCompute/machines/m1"
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
    put = await cloud.arm("PUT", machine, body, token=token, version="2024-07-10")
    assert put.status_code == 200, put.text
    refused = await cloud.arm("DELETE", machine, token=token, version="2024-07-10")
    assert refused.status_code == 403
    assert content_of(made["joinCode"])["resourceGroup"] == "servers"
    assert "install_linux_azcmagent.sh" in made["paste"] and "BEGIN CERTIFICATE" in made["paste"]


async def test_a_code_is_taken_once(cloud, make):
    made = make("-g", "servers")
    assert (await exchange(cloud, made["joinCode"])).status_code == 200
    again = await exchange(cloud, made["joinCode"])
    assert again.status_code == 400
    assert again.json()["error_codes"] == [54005]


async def test_a_code_that_has_ended_is_refused_and_its_principal_goes(cloud, make):
    made = make("-g", "servers", "--expires", "30m")
    cloud.clock.advance(1801)
    assert (await exchange(cloud, made["joinCode"])).status_code == 400
    app_id = content_of(made["joinCode"])["clientId"]
    assert cloud.plane.db.read(lambda connection: principals.by_app_id(connection, app_id)) is None


async def test_the_principal_of_a_used_code_goes_once_its_token_has_ended(cloud, make):
    used = make("-g", "servers")
    await exchange(cloud, used["joinCode"])
    cloud.clock.advance(2 * 3600 + 1)
    make("-g", "servers")
    app_id = content_of(used["joinCode"])["clientId"]
    assert cloud.plane.db.read(lambda connection: principals.by_app_id(connection, app_id)) is None


@pytest.mark.parametrize("changed", [{"join_code": "wrong"}, {"client_id": "nobody"}])
async def test_a_wrong_code_is_refused_in_one_way(cloud, make, changed):
    answer = await exchange(cloud, make("-g", "servers")["joinCode"], **changed)
    assert answer.status_code == 400
    assert answer.json()["error_codes"] == [70000]


async def test_a_code_is_no_client_secret(cloud, make):
    content = content_of(make("-g", "servers")["joinCode"])
    form = {
        "grant_type": "client_credentials",
        "client_id": content["clientId"],
        "client_secret": content["secret"],
        "scope": f"{cloud.config.endpoints.audience}/.default",
    }
    answer = await cloud.client.post(f"/{cloud.admin['tenantId']}/oauth2/v2.0/token", data=form)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "words",
    [("-g", "nowhere"), ("-g", "servers", "--role", "Nobody"), ("-g", "servers", "--subscription", "x")],
)
async def test_what_is_not_there_is_named(cloud, make, capsys, words):
    assert main(["join-code", "create", *words, *where(cloud)]) == 1
    assert "There is no" in capsys.readouterr().err


@pytest.mark.parametrize("time", ["0h", "31d", "x", "5", "-1h"])
async def test_a_time_that_is_none_is_wrong_usage(cloud, make, time):
    with pytest.raises(SystemExit) as wrong:
        main(["join-code", "create", "-g", "servers", f"--expires={time}"])
    assert wrong.value.code == 2


async def test_the_code_is_in_no_argument_of_the_pasted_line(cloud, make):
    made = make("-g", "servers")
    assert f"LANDBRIDGE_JOIN_CODE={made['joinCode']} sh" in made["paste"]
    assert "--join" not in made["paste"]


async def test_a_certificate_of_ones_own_is_trusted_already(cloud, make):
    (cloud.config.data / "up.json").write_text(json.dumps({"options": ["--tls-cert", "/x.pem"]}))
    made = make("-g", "servers")
    assert "--cacert" not in made["paste"] and "BEGIN CERTIFICATE" not in made["paste"]
