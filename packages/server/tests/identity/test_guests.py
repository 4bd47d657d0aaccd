from __future__ import annotations

import pytest

from landbridge_server.identity import directory, guests, second_factor
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.store import guests as kept
from landbridge_server.store import principals
from landbridge_wire.errors import ArmError

OTHER = "other.example"


@pytest.fixture
def anna(cloud):
    """A user of the first tenant who is a guest of the other one."""
    with cloud.db.writing() as connection:
        return guests.invite(connection, OTHER, "ADMIN@cloud.example", cloud.clock())[1]


def there(cloud) -> str:
    return f"/{cloud.other_tenant}/oauth2/v2.0/token"


async def test_one_refresh_token_serves_the_own_tenant_and_where_one_is_a_guest(cloud, anna):
    first = (await cloud.token(cloud.password_form())).json()
    other = (
        await cloud.token(cloud.refresh_form(first["refresh_token"], client_info="1"), there(cloud))
    ).json()
    assert unverified_parts(other["access_token"])[1]["tid"] == cloud.other_tenant
    assert other["client_info"] == first["client_info"]  # msal: one account
    home = (await cloud.token(cloud.refresh_form(other["refresh_token"]))).json()
    assert unverified_parts(home["access_token"])[1]["tid"] == cloud.tenant
    for token, tenant in ((other, cloud.other_tenant), (home, cloud.tenant)):
        caller = cloud.authenticator.caller(f"Bearer {token['access_token']}", cloud.endpoints.audiences)
        assert (caller.object_id, caller.tenant_id) == (anna.object_id, tenant)


async def test_a_guest_signs_in_at_the_other_tenant_and_at_home_by_default(cloud, anna, browser):
    code = await browser.code(f"{OTHER}/oauth2/v2.0")
    body = (await browser.redeem(code, there(cloud))).json()
    assert unverified_parts(body["id_token"])[1]["tid"] == cloud.other_tenant
    default = (await cloud.token(cloud.password_form(), "/organizations/oauth2/v2.0/token")).json()
    assert unverified_parts(default["id_token"])[1]["tid"] == cloud.tenant


async def test_who_is_turned_out_is_out_with_the_next_call(cloud, anna, refused):
    body = (await cloud.token(cloud.password_form(), there(cloud))).json()
    with cloud.db.writing() as connection:
        guests.turn_out(connection, OTHER, "admin@cloud.example")
    with pytest.raises(ArmError):
        cloud.authenticator.caller(f"Bearer {body['access_token']}", cloud.endpoints.audiences)
    refused(
        await cloud.token(cloud.refresh_form(body["refresh_token"]), there(cloud)), 50020, "invalid_grant"
    )
    assert (await cloud.token(cloud.refresh_form(body["refresh_token"]))).status_code == 200


async def test_a_guest_needs_the_second_factor_that_the_other_tenant_demands(cloud, anna, browser, refused):
    first = (await cloud.token(cloud.password_form())).json()["refresh_token"]
    with cloud.db.writing() as connection:
        second_factor.require(connection, cloud.other_tenant, True, cloud.clock())
    refused(await cloud.token(cloud.refresh_form(first), there(cloud)), 50079, "interaction_required")
    refused(await cloud.token(cloud.password_form(), there(cloud)), 50079, "interaction_required")
    assert (await cloud.token(cloud.refresh_form(first))).status_code == 200
    found = browser.enroll()
    page = await browser.send(await browser.open(f"{OTHER}/oauth2/v2.0"), **browser.user)
    answer = await browser.send(page, otp=browser.otp(found))
    assert answer.status_code == 303


async def test_a_stranger_gets_no_token_of_the_other_tenant(cloud, anna, refused):
    eve = cloud.password_form(username="eve@other.example", password="eves-password")
    refused(await cloud.token(eve), 50020, "invalid_grant")


def test_tenants_of_a_user_begin_with_its_own(cloud, anna, connection):
    found = [one.tenant_id for one in kept.tenants_of(connection, anna.object_id)]
    assert found == [cloud.tenant, cloud.other_tenant]
    assert kept.of_tenant(connection, cloud.other_tenant) == [anna.object_id]


def test_a_deleted_user_is_no_guest(cloud, anna, connection):
    principals.remove(connection, anna.object_id)
    assert kept.of_tenant(connection, cloud.other_tenant) == []


@pytest.mark.parametrize(
    ("tenant", "user"),
    [("nowhere", "admin@cloud.example"), (OTHER, "nobody@x"), (OTHER, "eve@other.example")],
)
def test_who_cannot_be_a_guest_is_refused(connection, tenant, user):
    with pytest.raises(directory.DirectoryError):
        guests.invite(connection, tenant, user, 1.0)


def test_inviting_twice_changes_nothing_and_turning_out_twice_is_told(cloud, anna, connection):
    guests.invite(connection, cloud.other_tenant, "admin@cloud.example", cloud.clock())
    guests.turn_out(connection, OTHER, "admin@cloud.example")
    with pytest.raises(directory.DirectoryError, match="is no guest"):
        guests.turn_out(connection, OTHER, "admin@cloud.example")
