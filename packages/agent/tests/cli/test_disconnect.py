"""``azcmagent disconnect``."""

from __future__ import annotations

import pytest

REFUSED = {"error": {"code": "AuthorizationFailed", "message": "The client 'x' may not delete"}}


async def test_disconnect_deletes_the_resource_and_forgets_it(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        ran = await azcmagent("disconnect", "-i", "id", "-p", "s3cret")
    assert ran.code == 0, ran.err
    assert cloud.machines == {}
    assert not azcmagent.paths.agent_config.exists() and not azcmagent.paths.identity.exists()


async def test_a_refusal_names_the_role_and_changes_nothing(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.answers[("DELETE", "/subscriptions/")] = (403, REFUSED)
        ran = await azcmagent("disconnect", "-i", "id", "-p", "s3cret", "-t", "tenant")
    assert ran.code == 43
    assert "AZCM0043" in ran.err and "Azure Connected Machine Resource Administrator" in ran.err
    assert azcmagent.paths.agent_config.exists() and azcmagent.paths.identity.exists()


async def test_without_a_connection_there_is_nothing_to_do(azcmagent):
    ran = await azcmagent("disconnect")
    assert ran.code == 65
    assert "not connected" in ran.err


async def test_force_local_only_asks_nobody(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        asked = len(cloud.asked)
        ran = await azcmagent("disconnect", "--force-local-only")
    assert ran.code == 0
    assert len(cloud.asked) == asked and len(cloud.machines) == 1
    assert not azcmagent.paths.agent_config.exists()


async def test_force_local_only_repairs_a_damaged_state(azcmagent):
    azcmagent.paths.agent_config.parent.mkdir(parents=True)
    azcmagent.paths.agent_config.write_text("{")
    assert (await azcmagent("show")).code == 2
    assert (await azcmagent("disconnect", "-f")).code == 0
    assert (await azcmagent("show")).code == 0


async def test_a_resource_that_is_gone_already_is_no_failure(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.machines.clear()
        ran = await azcmagent("disconnect", "-i", "id", "-p", "s3cret")
    assert ran.code == 0
    assert "does not exist" in ran.err


@pytest.mark.parametrize(("flag", "code"), [("rg", 0), ("other", 23)])
async def test_the_flags_of_2019_must_mean_this_machine(cloud, azcmagent, flag, code):
    async with cloud.serving():
        await azcmagent.connect()
        ran = await azcmagent("disconnect", "-i", "id", "-p", "s3cret", "-r", flag)
    assert ran.code == code
