from __future__ import annotations

import pytest

from landbridge_server.identity import directory, refresh_tokens
from landbridge_server.identity.clients import AZCMAGENT
from landbridge_server.identity.keys import unverified_parts


@pytest.fixture
async def first(cloud) -> str:
    return (await cloud.token(cloud.password_form())).json()["refresh_token"]


async def refreshed(cloud, token: str, **changes: str) -> str:
    answer = await cloud.token(cloud.refresh_form(token, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["refresh_token"]


async def test_an_exchange_gives_new_tokens(cloud, first):
    answer = await cloud.token(cloud.refresh_form(first, client_info="1"))
    body = answer.json()
    assert body["refresh_token"] != first
    assert body["scope"] == cloud.arm_scope
    assert {"id_token", "client_info"} < body.keys()
    caller = cloud.authenticator.caller(f"Bearer {body['access_token']}", cloud.endpoints.audiences)
    assert caller.object_id == cloud.first.user_object_id


async def test_one_token_serves_other_audiences(cloud, first):
    answer = await cloud.token(cloud.refresh_form(first, scope=f"{cloud.endpoints.graph}//.default"))
    audience = unverified_parts(answer.json()["access_token"])[1]["aud"]
    assert audience == cloud.endpoints.graph + "/"


async def test_without_a_scope_the_one_of_the_sign_in_counts(cloud, first):
    form = cloud.refresh_form(first)
    del form["scope"]
    assert (await cloud.token(form)).json()["scope"] == cloud.arm_scope


async def test_one_token_serves_the_tenants_that_the_user_belongs_to(cloud, first, refused):
    cloud.service.membership = lambda _connection, _user, tenant: tenant in (cloud.tenant, cloud.other_tenant)
    answer = await cloud.token(
        cloud.refresh_form(first, client_info="1"), f"/{cloud.other_tenant}/oauth2/v2.0/token"
    )
    assert unverified_parts(answer.json()["access_token"])[1]["tid"] == cloud.other_tenant
    again = await cloud.token(cloud.refresh_form(answer.json()["refresh_token"], client_info="1"))
    assert again.json()["client_info"] == answer.json()["client_info"]


async def test_a_tenant_without_the_user_refuses_and_keeps_the_token_good(cloud, first, refused):
    answer = await cloud.token(cloud.refresh_form(first), f"/{cloud.other_tenant}/oauth2/v2.0/token")
    refused(answer, 50020, "invalid_grant")
    await refreshed(cloud, first)


async def test_an_unknown_audience_does_not_cost_the_token(cloud, first, refused):
    refused(
        await cloud.token(cloud.refresh_form(first, scope="https://x/.default")), 500011, "invalid_resource"
    )
    await refreshed(cloud, first)


async def test_a_lost_answer_does_not_sign_the_user_out(cloud, first):
    await refreshed(cloud, first)
    cloud.clock.advance(refresh_tokens.GRACE)
    second = await refreshed(cloud, first)
    cloud.clock.advance(3600)
    await refreshed(cloud, second)


async def test_a_token_that_comes_back_late_ends_its_family(cloud, first, refused):
    second = await refreshed(cloud, first)
    cloud.clock.advance(refresh_tokens.GRACE + 1)
    refused(await cloud.token(cloud.refresh_form(first)), 50173, "invalid_grant")
    refused(await cloud.token(cloud.refresh_form(second)), 50173, "invalid_grant")


async def test_a_token_whose_successor_was_used_ends_its_family_at_once(cloud, first, refused):
    second = await refreshed(cloud, first)
    third = await refreshed(cloud, second)
    refused(await cloud.token(cloud.refresh_form(first)), 50173, "invalid_grant")
    for token in (second, third):
        refused(await cloud.token(cloud.refresh_form(token)), 50173, "invalid_grant")


async def test_another_sign_in_survives_the_end_of_a_family(cloud, first):
    other = (await cloud.token(cloud.password_form())).json()["refresh_token"]
    await refreshed(cloud, await refreshed(cloud, first))
    await cloud.token(cloud.refresh_form(first))
    await refreshed(cloud, other)


async def test_an_unused_token_ends_after_ninety_days(cloud, first, refused):
    cloud.clock.advance(refresh_tokens.LIFETIME - 1)
    second = await refreshed(cloud, first)
    cloud.clock.advance(refresh_tokens.LIFETIME)
    body = refused(await cloud.token(cloud.refresh_form(second)), 700082, "invalid_grant")
    assert "issued on 2027-04-15" in body["error_description"]


async def test_tokens_are_bound_to_their_program(cloud, first, refused):
    refused(await cloud.token(cloud.refresh_form(first, client_id=AZCMAGENT)), 70000, "invalid_grant")
    await refreshed(cloud, first)


@pytest.mark.parametrize("token", ["nonsense", "é", "x" * 5000])
async def test_nonsense_is_malformed(cloud, refused, token):
    refused(await cloud.token(cloud.refresh_form(token)), 70000, "invalid_grant")


async def test_a_disabled_user_gets_no_more_tokens_even_when_enabled_again(cloud, first, refused):
    for enabled in (False, True):
        with cloud.db.writing() as connection:
            directory.set_enabled(connection, cloud.first.user_object_id, enabled, cloud.clock())
        refused(await cloud.token(cloud.refresh_form(first)), 50173, "invalid_grant")


async def test_a_new_password_ends_all_sign_ins(cloud, first, refused):
    with cloud.db.writing() as connection:
        directory.reset_password(connection, cloud.first.user_name, "a-new-password", cloud.clock())
    refused(await cloud.token(cloud.refresh_form(first)), 50173, "invalid_grant")
    assert (await cloud.token(cloud.password_form(password="a-new-password"))).status_code == 200


async def test_a_deleted_user_leaves_no_token_behind(cloud, first, refused):
    with cloud.db.writing() as connection:
        directory.delete_principal(connection, cloud.first.user_object_id)
    refused(await cloud.token(cloud.refresh_form(first)), 70000, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "number"),
    [("UPDATE principals SET enabled = false", 50057), ("DELETE FROM principals", 50034)],
)
async def test_the_user_is_looked_at_even_if_the_token_is_good(cloud, first, refused, change, number):
    with cloud.db.writing() as connection:
        connection.exec_driver_sql(change)
    refused(await cloud.token(cloud.refresh_form(first)), number, "invalid_grant")


async def test_the_token_itself_is_not_in_the_database(cloud, first):
    with cloud.db.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM refresh_tokens").all()
    assert len(rows) == 1
    assert first not in str(rows)
