from __future__ import annotations

import asyncio

import pytest

from landbridge_server.identity import directory
from landbridge_server.identity.clients import AZCMAGENT


async def test_a_code_counts_once_and_one_that_comes_twice_ends_what_it_gave(cloud, browser, refused):
    code = await browser.code()
    first = (await browser.redeem(code)).json()
    refused(await browser.redeem(code), 54005, "invalid_grant")
    refused(await cloud.token(cloud.refresh_form(first["refresh_token"])), 50173, "invalid_grant")


async def test_a_code_that_comes_many_times_at_once_counts_once(browser):
    code = await browser.code()
    answers = await asyncio.gather(*(browser.redeem(code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


@pytest.mark.parametrize(
    ("changes", "number", "error"),
    [
        ({"code_verifier": "w" * 43}, 501481, "invalid_grant"),
        ({"code_verifier": "v"}, 501481, "invalid_grant"),
        ({"code_verifier": "v" * 42 + "w"}, 501481, "invalid_grant"),
        ({"code_verifier": ""}, 900144, "invalid_request"),
        ({"redirect_uri": "http://localhost:39812"}, 50011, "invalid_request"),
        ({"redirect_uri": ""}, 50011, "invalid_request"),
        ({"client_id": AZCMAGENT}, 70000, "invalid_grant"),
        ({"code": "x"}, 70000, "invalid_grant"),
        ({"scope": "https://localhost:9443/graph/.default"}, None, None),
    ],
)
async def test_a_code_is_for_its_program_address_verifier_and_resource(
    browser, refused, changes, number, error
):
    code = await browser.code()
    answer = await browser.redeem(code, **changes)
    if number is None:
        assert answer.status_code == 400
    else:
        refused(answer, number, error)
    assert (await browser.redeem(code)).status_code == 200


async def test_a_code_ends_after_minutes(cloud, browser, refused):
    code = await browser.code()
    cloud.clock.advance(300)
    refused(await browser.redeem(code), 70008, "invalid_grant")


async def test_a_disabled_user_gets_nothing_for_a_code(cloud, browser, refused):
    code = await browser.code()
    with cloud.db.writing() as connection:
        directory.set_enabled(connection, cloud.first.user_object_id, False, cloud.clock())
    refused(await browser.redeem(code), 50057, "invalid_grant")


async def test_v1_asks_by_resource(cloud, browser):
    code = await browser.code("common/oauth2", scope=None, resource=cloud.endpoints.audience)
    answer = await browser.redeem(code, "/common/oauth2/token", scope="", resource=cloud.endpoints.audience)
    assert answer.json()["resource"] == cloud.endpoints.audience
    assert answer.json()["refresh_token"]


async def test_a_new_password_ends_codes_that_nobody_redeemed_yet(cloud, browser, refused):
    code, device = await browser.code(), await cloud.begin_device()
    assert "You are signed in" in (await cloud.approve(device)).text
    with cloud.db.writing() as connection:
        directory.reset_password(connection, cloud.first.user_name, "another-password", cloud.clock())
    refused(await browser.redeem(code), 70000, "invalid_grant")
    refused(await cloud.poll(device), 65004, "access_denied")
