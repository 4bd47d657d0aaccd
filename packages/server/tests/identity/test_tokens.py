from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_server.identity.keys import unverified_parts
from landbridge_server.identity.tokens import AGENT_LIFETIME, LIFETIME, Claims
from landbridge_server.store import principals
from landbridge_wire.errors import ArmError

AUDIENCE = "https://localhost:9443/"


@pytest.fixture
def user(cloud):
    return cloud.db.read(lambda connection: principals.get(connection, cloud.first.user_object_id))


@pytest.fixture
def app(cloud):
    return cloud.db.read(
        lambda connection: principals.get(connection, cloud.first.service_principal_object_id)
    )


def refusal(cloud, token, audiences=(AUDIENCE,)) -> ArmError:
    with pytest.raises(ArmError) as refused:
        cloud.verifier.verify(token, audiences)
    assert refused.value.status == 401
    assert 'authorization_uri="https://localhost:9443/t"' in refused.value.challenge
    assert 'error="invalid_token"' in refused.value.challenge
    return refused.value


def test_an_access_token_verifies_and_names_its_principal(cloud, user):
    token = cloud.service.issuer.access_token(user, cloud.tenant, AUDIENCE, "app")
    assert cloud.verifier.verify(token, {AUDIENCE}) == Claims(
        issuer=f"https://localhost:9443/{cloud.tenant}/v2.0",
        audience=AUDIENCE,
        object_id=user.object_id,
        tenant_id=cloud.tenant,
        app_id="app",
        not_before=int(cloud.clock()),
        expires_at=int(cloud.clock()) + LIFETIME,
    )


def test_a_user_token_carries_the_names_of_the_user(cloud, user):
    claims = unverified_parts(cloud.service.issuer.access_token(user, cloud.tenant, AUDIENCE, "app"))[1]
    assert claims["upn"] == claims["unique_name"] == "admin@cloud.example"
    assert (claims["idtyp"], claims["name"], claims["scp"]) == ("user", "Administrator", "user_impersonation")
    assert (claims["aud"], claims["appid"], claims["azp"], claims["tid"]) == (
        AUDIENCE,
        "app",
        "app",
        cloud.tenant,
    )
    assert claims["oid"] == claims["sub"] == user.object_id
    assert claims["nbf"] == claims["iat"] == claims["exp"] - LIFETIME


def test_a_service_principal_token_carries_no_user(cloud, app):
    claims = unverified_parts(cloud.service.issuer.access_token(app, cloud.tenant, AUDIENCE, app.app_id))[1]
    assert (claims["idtyp"], claims["appid"], claims["appidacr"]) == ("app", cloud.first.client_id, "1")
    assert not {"amr", "upn", "unique_name", "name", "scp", "xms_mirid"} & claims.keys()


def test_a_machine_token_names_its_machine(cloud, app):
    machine = app._replace(kind=principals.MANAGED_IDENTITY, resource_key="/subscriptions/s/machine")
    token = cloud.service.issuer.access_token(machine, cloud.tenant, AUDIENCE, "a", AGENT_LIFETIME)
    claims = unverified_parts(token)[1]
    assert claims["xms_mirid"] == "/subscriptions/s/machine"
    assert claims["exp"] - claims["iat"] == 8 * 3600


def test_two_tokens_of_one_second_differ(cloud, app):
    issue = cloud.service.issuer.access_token
    assert issue(app, cloud.tenant, AUDIENCE, "a") != issue(app, cloud.tenant, AUDIENCE, "a")


def test_an_expired_token_says_when_it_ended_even_if_its_signature_is_remembered(cloud, app):
    token = cloud.service.issuer.access_token(app, cloud.tenant, AUDIENCE, "a")
    cloud.clock.advance(LIFETIME - 1)
    cloud.verifier.verify(token, {AUDIENCE})
    cloud.clock.advance(1)
    error = refusal(cloud, token)
    assert error.code == "ExpiredAuthenticationToken"
    assert error.message == (
        "The access token expiry UTC time '1/15/2027 8:59:59 AM' is earlier than current UTC time "
        "'1/15/2027 8:59:59 AM'."
    )
    assert error.challenge.endswith('error_description="The access token has expired."')


def test_noon_and_midnight_are_twelve():
    from landbridge_server.identity.tokens import _us_time

    assert _us_time(0) == "1/1/1970 12:00:00 AM"
    assert _us_time(43_200) == "1/1/1970 12:00:00 PM"
    assert _us_time(86_399) == "1/1/1970 11:59:59 PM"


def test_a_token_from_the_future_is_refused_beyond_a_step_of_the_clock(cloud, app):
    token = cloud.service.issuer.access_token(app, cloud.tenant, AUDIENCE, "a")
    cloud.clock.advance(-60)
    cloud.verifier.verify(token, {AUDIENCE})
    cloud.clock.advance(-1)
    assert refusal(cloud, token).code == "InvalidAuthenticationToken"


def test_the_audience_must_match_to_the_last_slash(cloud, app):
    token = cloud.service.issuer.access_token(app, cloud.tenant, AUDIENCE, "a")
    error = refusal(cloud, token, ["https://localhost:9443", "https://b/"])
    assert error.code == "InvalidAuthenticationTokenAudience"
    assert error.message == (
        "The access token has been obtained for wrong audience or resource 'https://localhost:9443/'. It "
        "should exactly match with one of the allowed audiences 'https://b/','https://localhost:9443'."
    )


def test_another_issuer_is_refused_by_its_name(cloud, app):
    token = cloud.service.issuer.access_token(app, cloud.tenant, AUDIENCE, "a")
    claims = unverified_parts(token)[1]
    error = refusal(cloud, cloud.keys.sign({**claims, "iss": "https://elsewhere/v2.0"}))
    assert error.code == "InvalidAuthenticationTokenTenant"
    assert "wrong issuer 'https://elsewhere/v2.0'" in error.message
    other_tenant = cloud.keys.sign({**claims, "tid": cloud.other_tenant})
    assert refusal(cloud, other_tenant).code == "InvalidAuthenticationTokenTenant"


def test_an_id_token_is_no_access_token(cloud, user):
    token = cloud.service.issuer.id_token(user, cloud.tenant, AUDIENCE, adfs=False, nonce="n")
    assert unverified_parts(token)[1]["nonce"] == "n"
    assert refusal(cloud, token, [AUDIENCE]).code == "InvalidAuthenticationToken"


def test_an_adfs_id_token_has_the_issuer_of_adfs(cloud, user):
    claims = unverified_parts(cloud.service.issuer.id_token(user, cloud.tenant, "c", adfs=True))[1]
    assert claims["iss"] == "https://localhost:9443/adfs"
    assert claims["upn"] == claims["preferred_username"] == "admin@cloud.example"
    assert claims["tid"] == cloud.tenant


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "oid", "tid", "appid", "exp", "nbf"]),
        st.none() | st.booleans() | st.integers(max_value=0) | st.text(max_size=5) | st.lists(st.integers()),
        min_size=1,
    )
)
def test_a_claim_of_another_kind_is_refused_even_if_we_signed_it(cloud, changes):
    now = int(cloud.clock())
    good = {
        "iss": f"https://localhost:9443/{cloud.tenant}/v2.0",
        "aud": AUDIENCE,
        "oid": "o",
        "tid": cloud.tenant,
        "appid": "a",
        "exp": now + 60,
        "nbf": now,
    }
    cloud.verifier.verify(cloud.keys.sign(good), [AUDIENCE])
    kinds = {"oid": str, "appid": str, "nbf": int}  # of these, any value of the kind is as good
    harmless = all(name in kinds and isinstance(value, kinds[name]) for name, value in changes.items())
    if not harmless:
        refusal(cloud, cloud.keys.sign({**good, **changes}))
