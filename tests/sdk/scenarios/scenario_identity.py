"""azure-identity: service principals by secret and from the environment, in both ways of waiting."""

from __future__ import annotations

import base64
import json
import time

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureAuthorityHosts, EnvironmentCredential
from azure.mgmt.resource.resources import ResourceManagementClient


def claims(token):
    """The content of an access token, unverified."""
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def test_a_secret_gives_a_token_for_the_resource_manager(cloud):
    found = cloud.credential.get_token(cloud.audience)
    assert found.expires_on > time.time() + 60
    said = claims(found.token)
    assert (said["tid"], said["appid"]) == (cloud.tenant, cloud.admin["clientId"])


def test_get_token_info_says_when_and_what_kind(cloud):
    found = cloud.credential.get_token_info(cloud.audience)
    assert found.token_type == "Bearer"
    assert found.expires_on > time.time() + 60


def test_a_wrong_secret_is_a_client_authentication_error(cloud):
    with cloud.sign_in(secret="wrong") as wrong, pytest.raises(ClientAuthenticationError) as refused:
        wrong.get_token(cloud.audience)
    assert "AADSTS7000215" in refused.value.message


def test_an_unknown_application_is_a_client_authentication_error(cloud):
    unknown = "11111111-2222-3333-4444-555555555555"
    with cloud.sign_in(client_id=unknown) as wrong, pytest.raises(ClientAuthenticationError) as refused:
        wrong.get_token(cloud.audience)
    assert "AADSTS700016" in refused.value.message


def test_tokens_for_another_cloud_are_refused_with_the_name_of_this_one(cloud):
    with pytest.raises(ClientAuthenticationError) as refused:
        cloud.credential.get_token("https://management.azure.com/.default")
    assert "AADSTS500011" in refused.value.message
    assert cloud.url in refused.value.message


def test_the_environment_names_principal_and_authority(cloud, monkeypatch):
    monkeypatch.setenv("AZURE_TENANT_ID", cloud.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", cloud.admin["clientId"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", cloud.admin["clientSecret"])
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", cloud.url)
    assert AzureAuthorityHosts.AZURE_PUBLIC_CLOUD not in cloud.url
    with EnvironmentCredential(disable_instance_discovery=True) as found:
        assert claims(found.get_token(cloud.audience).token)["appid"] == cloud.admin["clientId"]


def test_a_token_that_nobody_issued_is_refused_by_the_resource_manager(cloud):
    class Forged:
        def get_token(self, *scopes, **more):
            from azure.core.credentials import AccessToken

            return AccessToken("e30.e30.c2ln", int(time.time()) + 600)

    client = cloud.client(ResourceManagementClient, credential=Forged())
    with pytest.raises(ClientAuthenticationError) as refused:
        list(client.resource_groups.list())
    assert refused.value.status_code == 401
    assert refused.value.error.code == "InvalidAuthenticationToken"
