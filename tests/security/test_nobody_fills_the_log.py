"""Refused requests are recorded, and a flood of them is a number: it pushes nobody's records out.

Whoever could fill the activity log could empty it, as old records give way to new ones.
"""

from __future__ import annotations

import json
import uuid

import pytest

from landbridge_server.arm.activity import LOST
from landbridge_server.arm.chain_check import checked
from landbridge_server.arm.note_bounds import CALLERS_RATE, STRANGERS_RATE
from landbridge_server.store import events
from landbridge_server.store.event_chain import Seal
from landbridge_server.testing import ControlPlane

MORE = 300


@pytest.fixture
async def quiet(tmp_path):
    """A control plane in process; its log is written by ``records``."""
    async with ControlPlane(tmp_path / "cloud", requests_per_second=0.0) as plane:
        yield plane


async def records(cloud):
    """Return all documents of the log, which is whole."""
    await cloud.plane.settle()
    with cloud.plane.db.reading() as connection:
        seal = Seal((cloud.config.data / "keys" / "relay.key").read_bytes())
        assert checked(connection, seal).whole
        return [json.loads(row.event.document) for row in events.chain(connection, 0, 10_000)]


def lost(found):
    return [one for one in found if one["operationName"]["value"] == LOST]


async def test_requests_without_a_token_from_one_address_are_one_record_and_a_number(quiet):
    for number in range(MORE):
        await quiet.client.get(f"/subscriptions/{uuid.uuid4()}/resourcegroups/{number}")
    quiet.plane.activity.conclude()
    first, counted = await records(quiet)
    assert first["httpRequest"]["clientIpAddress"] == "127.0.0.1"
    assert counted["properties"]["count"] == str(MORE - 1)


async def test_wrong_secrets_for_ever_new_names_end_at_a_budget(quiet):
    burst = int(STRANGERS_RATE.burst)
    for _ in range(burst + MORE):
        form = {
            "grant_type": "client_credentials",
            "client_id": str(uuid.uuid4()),
            "client_secret": "guess",
            "scope": f"{quiet.config.endpoints.audience}/.default",
        }
        await quiet.client.post(f"/{quiet.admin['tenantId']}/oauth2/v2.0/token", data=form)
    found = await records(quiet)
    assert len(found) == burst + 1
    (told,) = lost(found)
    assert told["properties"]["count"] == str(MORE)
    await quiet.arm("PUT", f"{quiet.subscription}/resourcegroups/mine", {"location": "local"})
    assert (await records(quiet))[-1]["resourceId"].endswith("/mine")  # what was done is never left out


async def test_a_user_who_asks_for_what_is_not_theirs_for_ever_ends_at_a_budget_of_their_own(quiet):
    _, client_id, secret = quiet.create_service_principal("curious")
    token = await quiet.token(client_id, secret)
    burst = int(CALLERS_RATE.burst)
    for number in range(burst + MORE):
        answer = await quiet.arm("GET", f"{quiet.subscription}/resourcegroups/g{number}", token=token)
        assert answer.status_code == 403
    found = await records(quiet)
    mine = [one for one in found if one["caller"] == client_id]
    assert burst <= len(mine) <= burst + 1  # and the sign-in
    assert int(lost(found)[0]["properties"]["count"]) >= MORE
