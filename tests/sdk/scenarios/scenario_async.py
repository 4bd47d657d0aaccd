"""The asynchronous halves of the SDKs: credential, pages, operations and errors."""

from __future__ import annotations

import asyncio

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.mgmt.hybridcompute.aio import HybridComputeManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from real_cloud import AT, MACHINE, MACHINES


def in_one_loop(scenario):
    """Run a coroutine function that takes credential and client; both are closed in its loop."""

    async def run(cloud):
        async with ClientSecretCredential(**cloud.identity()) as credential:
            client = ResourceManagementClient(credential, cloud.subscription, **cloud.settings())
            async with client:
                await scenario(cloud, credential, client)

    def test(cloud):
        asyncio.run(run(cloud))

    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
    return test


@in_one_loop
async def test_a_secret_gives_a_token(cloud, credential, client):
    found = await credential.get_token(cloud.audience)
    assert found.token
    async with ClientSecretCredential(**cloud.identity(secret="wrong")) as wrong:
        with pytest.raises(ClientAuthenticationError) as refused:
            await wrong.get_token(cloud.audience)
    assert "AADSTS7000215" in refused.value.message


@in_one_loop
async def test_a_group_lives_with_a_machine_and_is_deleted(cloud, credential, client):
    name = cloud.new_name("aio")
    await client.resource_groups.create_or_update(name, {"location": "local"})
    machine = f"{cloud.scope}/resourceGroups/{name}/providers/{MACHINES}/web1"
    poller = await client.resources.begin_create_or_update_by_id(machine, parameters=MACHINE, **AT)
    assert (await poller.result()).name == "web1"
    async with HybridComputeManagementClient(credential, cloud.subscription, **cloud.settings()) as compute:
        assert [one.name async for one in compute.machines.list_by_resource_group(name)] == ["web1"]
    deletion = await client.resource_groups.begin_delete(name)
    await deletion.result()
    assert await client.resource_groups.check_existence(name) is False
    with pytest.raises(ResourceNotFoundError):
        await client.resources.get_by_id(machine, **AT)


@in_one_loop
async def test_many_calls_at_once_and_pages(cloud, credential, client):
    start = cloud.new_name("aio")
    names = [f"{start}-{number}" for number in range(5)]
    groups = client.resource_groups
    await asyncio.gather(*(groups.create_or_update(name, {"location": "local"}) for name in names))
    try:
        pages = [[one.name async for one in page] async for page in groups.list(top=2).by_page()]
        assert all(len(page) <= 2 for page in pages)
        assert set(names) <= {name for page in pages for name in page}
    finally:
        deletions = await asyncio.gather(*(groups.begin_delete(name) for name in names))
        await asyncio.gather(*(one.wait() for one in deletions))
