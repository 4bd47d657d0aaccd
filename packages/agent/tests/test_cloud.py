"""The cloud's names, and what is reached without the proxy under them."""

from __future__ import annotations

from landbridge_agent.cloud import Cloud, client_for, metadata
from landbridge_agent.proxies import Proxy


def used(client):
    return client._dialer.proxy


async def test_words_for_services_mean_the_names_that_the_cloud_announces(cloud):
    announced = {
        "name": "Named",
        "resourceManager": "https://management.example",
        "authentication": {"loginEndpoint": "https://login.example:8443/", "audiences": ["https://x"]},
    }
    cloud.answers[("GET", "/metadata/endpoints")] = (200, announced)
    async with cloud.serving() as url:
        client = client_for(Cloud(url, str(cloud.ca_file)), Proxy("http://proxy:1", ("AAD", ".corp")))
        assert used(client).bypass == ("127.0.0.1", ".corp")
        await metadata(client, Cloud(url, str(cloud.ca_file)))
    assert used(client).bypass == ("login.example", ".corp")
    assert used(client).serves("management.example") and not used(client).serves("login.example")


async def test_names_that_are_none_leave_the_proxy_as_it_was(cloud):
    cloud.answers[("GET", "/metadata/endpoints")] = (
        200,
        {"authentication": {"loginEndpoint": "nowhere", "audiences": ["https://x"]}},
    )
    async with cloud.serving() as url:
        client = client_for(Cloud(url, str(cloud.ca_file)), Proxy("http://proxy:1", ("AAD",)))
        await metadata(client, Cloud(url, str(cloud.ca_file)))
    assert used(client).bypass == ("127.0.0.1",)
