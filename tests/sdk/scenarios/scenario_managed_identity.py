"""A program on a connected machine signs in as the machine: azure-identity, both ways of waiting, and msal.

Run on a machine of its own, where ``himdsd`` serves 127.0.0.1:40342; ``LANDBRIDGE_MACHINE`` is its
resource id. The machine's identity is a Reader of the subscription, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
from azure.mgmt.resource.resources import ResourceManagementClient

MACHINE = os.environ.get("LANDBRIDGE_MACHINE", "")
OTHER = "11111111-2222-4333-8444-555555555555"


def claims(token):
    """The content of an access token, unverified."""
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def check(cloud, token, expires_on):
    said = claims(token)
    assert said["xms_mirid"].lower() == MACHINE.lower()
    assert (said["idtyp"], said["tid"]) == ("app", cloud.tenant)
    assert said["oid"] == said["sub"]
    assert said["aud"].rstrip("/") == cloud.url
    assert expires_on > time.time() + 3600
    return said


def group_names(cloud, credential):
    client = cloud.client(ResourceManagementClient, credential=credential)
    return [one.name for one in client.resource_groups.list()]


def test_a_program_signs_in_as_its_machine(cloud):
    with ManagedIdentityCredential() as found:
        token = found.get_token(cloud.audience)
        check(cloud, token.token, token.expires_on)
        assert group_names(cloud, found) == ["servers"]


def test_a_role_says_what_the_machine_may_do(cloud):
    with ManagedIdentityCredential() as found:
        client = cloud.client(ResourceManagementClient, credential=found)
        with pytest.raises(HttpResponseError) as refused:
            client.resource_groups.create_or_update("mine", {"location": "local"})
        assert refused.value.status_code == 403
        assert refused.value.error.code == "AuthorizationFailed"


def test_a_program_that_does_not_wait_signs_in_as_its_machine(cloud):
    pytest.importorskip("aiohttp")
    from azure.identity.aio import ManagedIdentityCredential as Async

    async def go():
        async with Async() as found:
            return await found.get_token(cloud.audience)

    token = asyncio.run(go())
    check(cloud, token.token, token.expires_on)


def test_the_default_credential_finds_the_machine(cloud):
    with DefaultAzureCredential() as found:
        token = found.get_token(cloud.audience)
        check(cloud, token.token, token.expires_on)


def test_the_default_credential_that_does_not_wait_finds_the_machine(cloud):
    pytest.importorskip("aiohttp")
    from azure.identity.aio import DefaultAzureCredential as Async

    async def go():
        async with Async() as found:
            return await found.get_token(cloud.audience)

    token = asyncio.run(go())
    check(cloud, token.token, token.expires_on)


def msal_token(cloud, identity=None):
    import msal
    import requests

    client = msal.ManagedIdentityClient(
        identity or msal.SystemAssignedManagedIdentity(), http_client=requests.Session()
    )
    return client.acquire_token_for_client(resource=cloud.url)


def test_msal_signs_in_as_the_machine(cloud):
    token = msal_token(cloud)
    assert token.get("token_type") == "Bearer", token
    check(cloud, token["access_token"], time.time() + token["expires_in"])


def test_msal_finds_the_agent_by_its_file_alone(cloud, monkeypatch):
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.delenv("IMDS_ENDPOINT")
    token = msal_token(cloud)
    check(cloud, token["access_token"], time.time() + token["expires_in"])


def test_the_machines_own_identity_may_be_named_by_its_client_id(cloud):
    with ManagedIdentityCredential() as found:
        own = claims(found.get_token(cloud.audience).token)["appid"]
    with ManagedIdentityCredential(client_id=own) as named:
        assert claims(named.get_token(cloud.audience).token)["appid"] == own


def test_another_identity_is_not_this_machines(cloud):
    unavailable = pytest.raises((ClientAuthenticationError, CredentialUnavailableError))
    with ManagedIdentityCredential(client_id=OTHER) as wrong, unavailable as refused:
        wrong.get_token(cloud.audience)
    assert "Identity not found" in str(refused.value)


def test_an_audience_that_the_cloud_does_not_know_is_named(cloud):
    unavailable = pytest.raises((ClientAuthenticationError, CredentialUnavailableError))
    with ManagedIdentityCredential() as found, unavailable as refused:
        found.get_token("https://management.azure.com/.default")
    assert "AADSTS500011" in str(refused.value)


def test_a_token_for_the_directory_is_taken_by_the_directory(cloud):
    import requests

    graph = requests.get(f"{cloud.url}/metadata/endpoints?api-version=2022-09-01", timeout=30).json()["graph"]
    with ManagedIdentityCredential() as found:
        token = found.get_token(f"{graph.rstrip('/')}/.default").token
    said = claims(token)
    assert said["aud"].rstrip("/") == graph.rstrip("/")
    answer = requests.get(
        f"{graph.rstrip('/')}/v1.0/servicePrincipals/{said['oid']}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["appId"] == said["appid"]
    assert answer.json()["servicePrincipalType"] == "ManagedIdentity"
