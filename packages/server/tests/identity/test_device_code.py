from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.identity import device_code, directory
from landbridge_server.identity.clients import AZCMAGENT, AZURE_CLI
from landbridge_server.identity.keys import unverified_parts

PATHS = [
    "/organizations/oauth2/v2.0/devicecode",
    "/common/oauth2/devicecode",
    "/adfs/oauth2/devicecode",
    "/cloud.example/oauth2/v2.0/devicecode",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_program_gets_what_az_prints(cloud, path):
    answer = await cloud.http.post(path, data={"client_id": AZURE_CLI, "scope": cloud.arm_scope})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["verification_uri"] == "https://localhost:9443/devicelogin"
    assert (body["expires_in"], body["interval"]) == (900, 5)
    assert len(body["user_code"]) == 9
    assert set(body["user_code"]) <= set(device_code.ALPHABET)
    assert body["message"] == (
        "To sign in, use a web browser to open the page https://localhost:9443/devicelogin "
        f"and enter the code {body['user_code']} to authenticate."
    )


async def test_the_scope_is_remembered_from_the_first_request(cloud):
    code = await cloud.begin_device()
    await cloud.approve(code)
    body = (await cloud.poll(code)).json()
    assert body["scope"] == cloud.arm_scope
    assert {"access_token", "refresh_token", "id_token", "client_info"} < body.keys()
    claims = unverified_parts(body["access_token"])[1]
    assert (claims["aud"], claims["oid"]) == (cloud.endpoints.audience, cloud.first.user_object_id)
    assert (await cloud.token(cloud.refresh_form(body["refresh_token"]))).status_code == 200


async def test_v1_asks_by_resource_and_polls_with_code(cloud):
    form = {"client_id": AZURE_CLI, "resource": "https://localhost:9443/"}
    code = (await cloud.http.post("/common/oauth2/devicecode", data=form)).json()
    assert code["verification_url"] == code["verification_uri"]
    await cloud.approve(code)
    poll = {"grant_type": "device_code", "client_id": AZURE_CLI, "code": code["device_code"]}
    body = (await cloud.token(poll, "/common/oauth2/token")).json()
    assert unverified_parts(body["access_token"])[1]["aud"] == "https://localhost:9443/"
    assert {"refresh_token", "id_token"} < body.keys()


async def test_a_code_is_redeemed_once(cloud, refused):
    code = await cloud.begin_device()
    await cloud.approve(code)
    assert (await cloud.poll(code)).status_code == 200
    refused(await cloud.poll(code), 54005, "invalid_grant")


async def test_polling_at_the_interval_waits_and_polling_faster_slows_down(cloud, refused):
    code = await cloud.begin_device()
    for _ in range(3):
        refused(await cloud.poll(code), 70016, "authorization_pending")
        cloud.clock.advance(5)
    cloud.clock.advance(-4)
    refused(await cloud.poll(code), 50196, "slow_down")
    cloud.clock.advance(5)
    refused(await cloud.poll(code), 50196, "slow_down")
    cloud.clock.advance(15)
    refused(await cloud.poll(code), 70016, "authorization_pending")


async def test_an_approved_code_that_ended_gives_nothing(cloud, refused):
    code = await cloud.begin_device()
    await cloud.approve(code)
    cloud.clock.advance(900)
    refused(await cloud.poll(code), 70020, "expired_token")


async def test_a_code_belongs_to_its_program(cloud, refused):
    code = await cloud.begin_device()
    await cloud.approve(code)
    refused(await cloud.poll(code, client_id=AZCMAGENT), 70019, "invalid_grant")
    assert (await cloud.poll(code)).status_code == 200


async def test_nonsense_is_no_code(cloud, refused):
    refused(await cloud.poll({"device_code": "nonsense"}), 70019, "invalid_grant")
    form = {"grant_type": "device_code", "client_id": AZURE_CLI}
    refused(await cloud.token(form), 900144, "invalid_request")


async def test_a_user_who_was_disabled_meanwhile_gets_nothing(cloud, refused):
    code = await cloud.begin_device()
    await cloud.approve(code)
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, cloud.first.user_object_id, False, cloud.clock())
    refused(await cloud.poll(code), 50057, "invalid_grant")


async def test_a_user_who_was_deleted_meanwhile_gets_nothing(cloud, refused):
    code = await cloud.begin_device()
    await cloud.approve(code)
    with cloud.db.writing() as connection:
        directory.delete_principal(connection, cloud.first.user_object_id)
    refused(await cloud.poll(code), 70019, "invalid_grant")


@pytest.mark.parametrize(
    ("form", "number", "error"),
    [
        ({}, 900144, "invalid_request"),
        ({"client_id": AZURE_CLI}, 900144, "invalid_request"),
        ({"client_id": "x", "scope": "openid"}, 700016, "unauthorized_client"),
        ({"client_id": AZURE_CLI, "scope": "read"}, 70011, "invalid_scope"),
        ({"client_id": AZURE_CLI, "scope": "https://x/.default"}, 500011, "invalid_resource"),
        ({"client_id": AZURE_CLI, "scope": "api://landbridge-agent/.default"}, 500011, "invalid_resource"),
    ],
)
async def test_a_malformed_request_gets_its_error(cloud, refused, form, number, error):
    refused(await cloud.http.post(PATHS[0], data=form), number, error)


async def test_waiting_codes_are_bounded_and_ended_ones_forgotten(cloud, monkeypatch):
    monkeypatch.setattr(device_code, "OUTSTANDING", 2)
    for _ in range(5):
        await cloud.begin_device()
    assert count(cloud) == 2
    cloud.clock.advance(900 + device_code.KEPT + 1)
    await cloud.begin_device()
    assert count(cloud) == 1


def count(cloud):
    with cloud.db.reading() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM device_codes").scalar()


async def test_a_flood_of_codes_costs_no_program_that_asks_for_its_answer_its_own(
    cloud, monkeypatch, refused
):
    monkeypatch.setattr(device_code, "OUTSTANDING", 10)
    mine = await cloud.begin_device()
    silent = await cloud.begin_device()
    for _ in range(4):
        cloud.clock.advance(5)
        refused(await cloud.poll(mine), 70016, "authorization_pending")
        for _ in range(9):
            await cloud.begin_device()
    assert "You are signed in" in (await cloud.approve(mine)).text
    assert (await cloud.poll(mine)).status_code == 200
    refused(await cloud.poll(silent), 70019, "invalid_grant")


async def test_a_code_that_a_person_has_approved_gives_way_to_nobody(cloud, monkeypatch):
    monkeypatch.setattr(device_code, "OUTSTANDING", 2)
    approved = await cloud.begin_device()
    await cloud.approve(approved)
    for _ in range(5):
        cloud.clock.advance(1)
        await cloud.begin_device()
    assert (await cloud.poll(approved)).status_code == 200


async def test_two_programs_never_get_the_same_code(cloud, monkeypatch):
    letters = iter("B" * 18 + "C" * 9)
    monkeypatch.setattr(device_code.secrets, "choice", lambda _alphabet: next(letters))
    codes = [(await cloud.begin_device())["user_code"] for _ in range(2)]
    assert codes == ["B" * 9, "C" * 9]


@given(st.text(max_size=80))
def test_any_typed_text_is_normalised_once(typed):
    once = device_code.normalised(typed)
    assert once.isalnum() or not once
    assert len(once) <= 64
