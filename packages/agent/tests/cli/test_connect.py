"""``azcmagent connect`` against a small real cloud over TLS."""

from __future__ import annotations

import json
import stat

import pytest

from landbridge_agent import keys
from landbridge_agent.machine import Machine, Pending

ID = (
    "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg"
    "/providers/Microsoft.HybridCompute/machines/m1"
)


async def test_connect_creates_the_resource_and_stores_the_identity(cloud, azcmagent):
    async with cloud.serving():
        ran = await azcmagent.connect("--tags", "a=b,c='d, e'", "--physical-location", "Rack 7")
    assert ran.code == 0, ran.err
    assert "Connected machine to Azure" in ran.out
    body = cloud.machines[ID]
    assert body["identity"] == {"type": "SystemAssigned"}
    assert body["tags"] == {"a": "b", "c": "d, e"}
    assert body["properties"]["locationData"] == {"name": "Rack 7"}
    assert cloud.said("PUT", ID)[0].headers["if-none-match"] == "*"
    machine = Machine(azcmagent.paths)
    config = machine.config()
    assert config is not None and config.resourceId == ID
    identity = machine.identity()
    assert identity is not None
    keys.check_pair(identity.decode(), identity.decode())
    assert machine.pending() is None


async def test_files_belong_to_their_owner_alone(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
    for path in azcmagent.paths.state.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


async def test_the_private_key_never_leaves_the_machine(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
    assert not any(b"PRIVATE KEY" in asked.body for asked in cloud.asked)


async def test_a_second_connect_is_refused_with_the_resource_id(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        ran = await azcmagent.connect(name="other")
    assert ran.code == 67
    assert "AZCM0067" in ran.err and ID in ran.err


async def test_connecting_again_as_the_same_resource_is_a_success(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        asked = len(cloud.asked)
        ran = await azcmagent.connect("--json")
    assert ran.code == 0
    assert json.loads(ran.out)["resourceId"] == ID
    assert len(cloud.asked) == asked


async def test_another_cloud_is_refused_while_connected(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.url = "https://elsewhere.example"
        ran = await azcmagent.connect()
    assert ran.code == 67


async def test_a_name_that_is_taken_is_left_alone(cloud, azcmagent):
    cloud.machines[ID] = {"properties": {"clientPublicKey": "another's"}}
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == 44
    assert "AZCM0044" in ran.err
    assert cloud.machines[ID] == {"properties": {"clientPublicKey": "another's"}}
    assert not azcmagent.paths.pending.exists()


async def test_missing_parameters_are_all_named(azcmagent):
    ran = await azcmagent("connect", "--cloud", "https://127.0.0.1:1", "-g", "rg")
    assert ran.code == 16
    assert "--subscription-id" in ran.err and "--location" in ran.err


async def test_a_principal_without_its_secret_is_a_missing_parameter(azcmagent):
    ran = await azcmagent("connect", "-s", "x", "-g", "rg", "-l", "local", "-i", "id", "--tenant-id", "t")
    assert ran.code == 16
    assert "--service-principal-secret" in ran.err


async def test_an_unreachable_cloud_is_a_network_error(azcmagent, cloud, closed_port):
    cloud.url = f"https://127.0.0.1:{closed_port}"
    ran = await azcmagent.connect()
    assert ran.code == 26
    assert "AZCM0026: Network Error" in ran.err and "refused" in ran.err
    assert not azcmagent.paths.pending.exists()


async def test_a_name_without_an_address_is_a_network_error(azcmagent, cloud):
    cloud.url = "https://no-such-cloud.invalid"
    ran = await azcmagent.connect()
    assert ran.code == 26
    assert "cannot be resolved" in ran.err


async def test_a_certificate_by_another_ca_is_not_trusted(azcmagent, cloud, tmp_path):
    async with cloud.serving():
        other = type(cloud.issuer)()
        cloud.ca_file.write_text(other.pem(other.certificate))
        ran = await azcmagent.connect()
    assert ran.code == 26
    assert "not trusted" in ran.err and "--ca-file" in ran.err
    assert cloud.asked == []


async def test_a_ca_file_that_does_not_exist_is_named(azcmagent, cloud):
    cloud.ca_file.unlink()
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == 26
    assert str(cloud.ca_file) in ran.err


async def test_a_wrong_secret_creates_nothing(azcmagent, cloud):
    async with cloud.serving():
        ran = await azcmagent.connect("-p", "wrong")
    assert ran.code == 41
    assert "AZCM0041" in ran.err and "AADSTS7000215" in ran.err
    assert cloud.machines == {}
    assert not azcmagent.paths.pending.exists()


async def test_an_access_token_that_is_refused_has_its_own_code(azcmagent, cloud):
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), "--access-token", "bad",
            "-s", "22222222-2222-4222-8222-222222222222", "-g", "rg", "-l", "local",
        )  # fmt: skip
    assert ran.code == 12


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((403, {"error": {"code": "AuthorizationFailed", "message": "The client ... may not"}}), 42),
        ((400, {"error": {"code": "LocationNotAvailableForResourceType", "message": "nowhere"}}), 20),
        ((409, {"error": {"code": "MissingSubscriptionRegistration", "message": "register"}}), 42),
    ],
)
async def test_a_refused_put_leaves_nothing_here(azcmagent, cloud, answer, code):
    cloud.answers[("PUT", "/subscriptions/")] = answer
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == code
    assert answer[1]["error"]["message"] in ran.err
    assert not azcmagent.paths.pending.exists()
    assert "left behind" not in ran.err


async def test_a_refused_certificate_withdraws_the_resource(azcmagent, cloud):
    cloud.answers[("POST", "/agent/v1/enrollments")] = (500, {"error": {"code": "E", "message": "no CA"}})
    withdrawn = cloud.answers.copy()
    async with cloud.serving():
        cloud.answers = {("POST", "/agent/v1/enrollments/withdraw"): (204, None), **withdrawn}
        ran = await azcmagent.connect()
    assert ran.code == 81
    assert "no CA" in ran.err
    sent = cloud.said("POST", "/agent/v1/enrollments/withdraw")[0].json()
    assert sent["resourceId"] == ID
    assert sent["clientPublicKey"] == cloud.machines[ID]["properties"]["clientPublicKey"]
    assert not azcmagent.paths.pending.exists() and not azcmagent.paths.identity.exists()


async def test_a_certificate_for_another_key_is_refused(azcmagent, cloud):
    stranger = keys.certificate_request(keys.new_private_key(), "x")
    real = cloud.chain
    cloud.chain = lambda request: real(stranger)
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == 81
    assert cloud.machines == {}


async def test_a_connect_that_was_killed_after_its_put_is_resumed(azcmagent, cloud):
    private_key = keys.new_private_key()
    public_key = keys.public_key(private_key)
    async with cloud.serving():
        machine = Machine(azcmagent.paths)
        machine.begin(Pending(ID, cloud.url, "vm-1", public_key, private_key))
        cloud.machines[ID] = {"properties": {"clientPublicKey": public_key, "vmId": "vm-1"}}
        ran = await azcmagent.connect()
    assert ran.code == 0, ran.err
    config = machine.config()
    assert config is not None and config.vmId == "vm-1"


async def test_an_unfinished_connect_under_another_name_is_withdrawn(azcmagent, cloud):
    private_key = keys.new_private_key()
    old = ID.replace("m1", "old")
    async with cloud.serving():
        pending = Pending(old, cloud.url, "vm-1", keys.public_key(private_key), private_key)
        Machine(azcmagent.paths).begin(pending)
        cloud.machines[old] = {}
        ran = await azcmagent.connect()
    assert ran.code == 0, ran.err
    assert list(cloud.machines) == [ID]


async def test_a_missing_group_is_created(azcmagent, cloud):
    missing = (404, {"error": {"code": "ResourceGroupNotFound", "message": "no group"}})
    group = "/subscriptions/22222222-2222-4222-8222-222222222222/resourcegroups/rg"
    cloud.answers = {("GET", ID): missing, ("PUT", group): (201, {})}
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == 0, ran.err
    assert cloud.said("PUT", group)[0].json() == {"location": "local"}


async def test_a_group_that_may_not_be_created_is_explained(azcmagent, cloud):
    refused = {"error": {"code": "AuthorizationFailed", "message": "you may not"}}
    cloud.answers = {
        ("GET", ID): (404, {"error": {"code": "ResourceGroupNotFound", "message": "no group"}}),
        ("PUT", "/subscriptions/"): (403, refused),
    }
    async with cloud.serving():
        ran = await azcmagent.connect()
    assert ran.code == 42
    assert "resource group 'rg'" in ran.err and "you may not" in ran.err


async def test_json_prints_one_object(azcmagent, cloud):
    async with cloud.serving():
        ran = await azcmagent.connect("--json")
    assert json.loads(ran.out)["resourceId"] == ID


async def test_json_reports_a_failure_as_an_object(azcmagent, cloud):
    async with cloud.serving():
        ran = await azcmagent.connect("--json", "-p", "wrong")
    failure = json.loads(ran.out)
    assert failure["errorCode"] == "AZCM0041" and failure["exitCode"] == 41


async def test_the_device_code_is_shown_and_polled(azcmagent, cloud):
    cloud.answers[("POST", "/organizations/oauth2/v2.0/devicecode")] = (
        200,
        {
            "device_code": "d",
            "user_code": "ABCD",
            "verification_uri": "u",
            "interval": 1,
            "message": "go ABCD",
        },
    )
    cloud.answers[("POST", "/organizations/oauth2/v2.0/token")] = (200, {"access_token": "token"})
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file),
            "-s", "22222222-2222-4222-8222-222222222222", "-g", "rg", "-l", "local", "-n", "m1",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "go ABCD" in ran.out


async def test_a_declined_device_code_fails(azcmagent, cloud):
    cloud.answers[("POST", "/t/oauth2/v2.0/devicecode")] = (200, {"device_code": "d", "interval": 1})
    cloud.answers[("POST", "/t/oauth2/v2.0/token")] = (400, {"error": "authorization_declined"})
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), "--tenant-id", "t",
            "-s", "22222222-2222-4222-8222-222222222222", "-g", "rg", "-l", "local", "-n", "m1",
        )  # fmt: skip
    assert ran.code == 41


async def test_flags_are_read_from_a_file(azcmagent, cloud, tmp_path):
    file = tmp_path / "connect.json"
    file.write_text(json.dumps({"service-principal-secret": "s3cret", "resource-name": "ignored"}))
    async with cloud.serving():
        ran = await azcmagent(
            "connect", "--config", str(file), "--cloud", cloud.url, "--ca-file", str(cloud.ca_file),
            "-i", "id", "-t", "11111111-1111-4111-8111-111111111111",
            "-s", "22222222-2222-4222-8222-222222222222", "-g", "rg", "-l", "local", "-n", "m1",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    assert list(cloud.machines) == [ID]


async def test_the_cloud_file_of_the_installer_suffices(azcmagent, cloud):
    async with cloud.serving():
        azcmagent.paths.cloud.parent.mkdir(parents=True)
        azcmagent.paths.cloud.write_text(json.dumps({"endpoint": cloud.url, "caFile": str(cloud.ca_file)}))
        ran = await azcmagent(
            "connect", "-i", "id", "-p", "s3cret", "-t", "tenant",
            "-s", "22222222-2222-4222-8222-222222222222", "-g", "rg", "-l", "local", "-n", "m1",
        )  # fmt: skip
    assert ran.code == 0, ran.err


async def test_t_with_an_equals_sign_means_tags_as_in_2019(azcmagent, cloud):
    async with cloud.serving():
        ran = await azcmagent.connect("--access-token", "token", "-t", "site=north", "-i", "", "-p", "")
    assert ran.code == 0, ran.err
    assert cloud.machines[ID]["tags"] == {"site": "north"}


@pytest.mark.parametrize(
    "flag", ["--gateway-id", "--service-principal-cert-thumbprint", "--private-link-scope"]
)
async def test_what_is_not_supported_is_not_pretended(azcmagent, flag):
    ran = await azcmagent("connect", flag, "x", "-s", "a", "-g", "b", "-l", "c")
    assert ran.code == 3
    assert flag in ran.err
