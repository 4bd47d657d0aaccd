"""The metadata and token service of a running ``himdsd``, asked over loopback as clients ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from landbridge_agent.local_socket import STATUS, ask
from landbridge_wire import agent_api

SETTLE = 20.0
RESOURCE = "https://management.example/"
QUERY = f"api-version=2020-06-01&resource={RESOURCE}"
TOKEN = "/metadata/identity/oauth2/token"
METADATA = {"Metadata": "true"}


async def until(condition, seconds=SETTLE):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def token_requests(cloud):
    return [one for one in cloud.said("POST", "/t/token") if b"resource=" in one.body]


# -- tokens ----------------------------------------------------------------------------------


async def test_a_token_is_given_for_the_content_of_the_file(cloud, azcmagent, connected):
    async with connected() as local:
        path, key = await local.key()
        assert path.parent == azcmagent.paths.tokens
        assert re.fullmatch(r"[0-9a-f]{32}\.key", path.name)
        assert path.stat().st_mode & 0o7777 == 0o440
        assert re.fullmatch(r"[0-9a-f]{64}", key)
        answer = await local.get(f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}"})
        assert answer.status == 200
        assert answer.body["access_token"] == "token"
        assert answer.body["resource"] == RESOURCE
        assert answer.body["token_type"] == "Bearer"
        assert answer.body["client_id"] == "c"
        assert 3500 < int(answer.body["expires_in"]) <= 3600
        assert int(answer.body["expires_on"]) > int(answer.body["not_before"])
        assert not path.exists()
    (asked,) = token_requests(cloud)
    assert b"resource=https%3A%2F%2Fmanagement.example%2F" in asked.body


async def test_a_key_is_good_once(connected):
    async with connected() as local:
        _, key = await local.key()
        headers = {**METADATA, "Authorization": f"Basic {key}"}
        assert (await local.get(f"{TOKEN}?{QUERY}", headers)).status == 200
        again = await local.get(f"{TOKEN}?{QUERY}", headers)
        assert again.status == 401
        assert "Www-Authenticate" in again.headers


async def test_one_key_at_two_requests_at_once_gives_one_token(connected):
    async with connected() as local:
        _, key = await local.key()
        headers = {**METADATA, "Authorization": f"Basic {key}"}
        both = await asyncio.gather(*(local.get(f"{TOKEN}?{QUERY}", headers) for _ in range(4)))
        assert sorted(one.status for one in both) == [200, 401, 401, 401]


async def test_a_wrong_key_is_challenged_anew(connected):
    async with connected() as local:
        for key in ("", "wrong", "0" * 64, "x" * 5000, "Ω", "a b"):
            answer = await local.get(f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}"})
            assert answer.status == 401
            assert answer.headers["Www-Authenticate"].startswith("Basic realm=/")
            assert answer.headers["Www-Authenticate"].count("=") == 1


async def test_tokens_are_kept_by_audience_and_bypass_cache_gets_a_new_one(cloud, connected):
    async with connected() as local:
        await local.token()
        await local.token()
        assert len(token_requests(cloud)) == 1
        await local.token("api-version=2019-11-01&resource=https://graph.example")
        assert len(token_requests(cloud)) == 2
        await local.token(QUERY + "&bypass_cache=true")
        assert len(token_requests(cloud)) == 3


async def test_the_cache_answers_while_the_cloud_is_away(cloud, azcmagent, served):
    async with contextlib.AsyncExitStack() as stack:
        async with cloud.serving():
            await azcmagent.connect()
            local = await stack.enter_async_context(served(azcmagent.paths))
            assert (await local.token()).status == 200
        assert (await local.token()).status == 200
        _, key = await local.key("api-version=2020-06-01&resource=other")
        answer = await local.get(
            f"{TOKEN}?api-version=2020-06-01&resource=other", {**METADATA, "Authorization": f"Basic {key}"}
        )
        assert answer.status == 503
        assert answer.body["error"] == "service_unavailable"


async def test_the_cache_outlives_a_connection_that_is_made_anew(cloud, azcmagent, served):
    async with contextlib.AsyncExitStack() as stack:
        async with cloud.serving():
            await azcmagent.connect()
            local = await stack.enter_async_context(served(azcmagent.paths))
            assert (await local.token()).status == 200
        await azcmagent("config", "set", "incomingconnections.enabled", "false")
        await azcmagent("config", "set", "proxy.bypass", "other.example")
        await asyncio.sleep(0.5)
        assert (await local.token()).status == 200
    assert len(token_requests(cloud)) == 1


async def test_no_token_of_a_machine_that_was_disconnected_is_given(azcmagent, connected):
    async with connected() as local:
        assert (await local.token()).status == 200
        _, key = await local.key()
        await azcmagent("disconnect", "--force-local-only")
        async with asyncio.timeout(SETTLE):
            while "not connected" not in str((answer := await local.get(f"{TOKEN}?{QUERY}")).body):
                await asyncio.sleep(0.05)
        answer = await local.get(f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}"})
        assert answer.status == 400 and "not connected" in answer.body["error_description"]


async def test_a_key_stays_good_where_the_cloud_was_only_away_for_a_moment(cloud, connected):
    async with connected() as local:
        _, key = await local.key()
        headers = {**METADATA, "Authorization": f"Basic {key}"}
        cloud.answers[("POST", "/t/token")] = (503, {"error": "busy"})
        assert (await local.get(f"{TOKEN}?{QUERY}", headers)).status == 503
        cloud.answers.clear()
        assert (await local.get(f"{TOKEN}?{QUERY}", headers)).status == 200


async def test_a_refusal_of_the_cloud_is_handed_on(cloud, connected):
    async with connected() as local:
        text = "AADSTS500011: The resource principal named other was not found."
        cloud.answers[("POST", "/t/token")] = (400, {"error": "invalid_resource", "error_description": text})
        answer = await local.token()
        assert answer.status == 400
        assert answer.body["error"] == "invalid_resource"
        assert "AADSTS500011" in answer.body["error_description"]
        before = len(token_requests(cloud))
        await local.token()
        assert len(token_requests(cloud)) == before  # remembered for a moment


async def test_a_cloud_that_answers_garbage_is_no_token(cloud, connected):
    async with connected() as local:
        for number, answer in enumerate(
            ([], "x", {"access_token": 7}, {"access_token": "t", "expires_in": "x"})
        ):
            cloud.answers[("POST", "/t/token")] = (200, answer)
            said = await local.token(f"api-version=2020-06-01&resource=r{number}")
            assert said.status == 400, said


async def test_the_machines_own_identity_may_be_named_and_is_echoed(connected):
    async with connected() as local:
        named = await local.token(QUERY + "&client_id=C&object_id=p")
        assert named.body["client_id"] == "c" and named.body["object_id"] == "p"
        other = await local.get(f"{TOKEN}?{QUERY}&client_id=11111111-1111-1111-1111-111111111111")
        assert other.status == 400
        assert "Identity not found" in other.body["error_description"]
        assert "Www-Authenticate" not in other.headers


@pytest.mark.parametrize("end", ["", "/", "/.default"])
async def test_tokens_for_the_agents_own_api_are_not_given_to_programs(end, connected):
    async with connected() as local:
        for name in (agent_api.AUDIENCE, agent_api.AUDIENCE.upper()):
            answer = await local.get(f"{TOKEN}?api-version=2020-06-01&resource={name}{end}")
            assert answer.status == 400
            assert answer.body["error"] == "invalid_resource"


# -- metadata ----------------------------------------------------------------------------------


async def test_metadata_has_the_shape_of_azures(connected):
    async with connected() as local:
        whole = await local.get("/metadata/instance?api-version=2020-06-01")
        compute = whole.body["compute"]
        assert compute["name"] == "m1" and compute["resourceGroupName"] == "rg"
        assert compute["location"] == "local" and compute["osType"] == "linux"
        assert compute["resourceId"].endswith("/machines/m1")
        assert compute["publicKeys"] is None and compute["vmSize"] == ""
        assert whole.body["network"] == {}
        part = await local.get("/metadata/instance/compute?api-version=2019-11-01")
        assert part.body == compute
        text = await local.get("/metadata/instance/compute/name?api-version=2020-06-01&format=text")
        assert text.body == "m1" and text.headers["Content-Type"].startswith("text/plain")
        assert (await local.get("/metadata/instance/compute/nothing?api-version=2020-06-01")).status == 404
        assert (await local.get("/metadata/instance?api-version=2020-06-01&format=xml")).status == 400


async def test_tags_come_from_the_cloud_and_stay_while_it_is_away(cloud, azcmagent, served):
    path = "/metadata/instance/compute?api-version=2020-06-01"
    told = {"resourceId": "/x", "location": "local", "tags": {"role": "web", "tier": "1"}}
    cloud.answers[("GET", "/agent/v1/instance")] = (200, told)
    async with contextlib.AsyncExitStack() as stack:
        async with cloud.serving():
            await azcmagent.connect()
            local = await stack.enter_async_context(served(azcmagent.paths))
            await until(lambda: cloud.channels)
            compute = (await local.get(path)).body
        assert compute["tags"] == "role:web;tier:1"
        assert compute["tagsList"][1] == {"name": "tier", "value": "1"}
        assert (await local.get(path)).body == compute


async def test_tags_outlive_a_restart_while_the_cloud_is_away_and_tokens_do_not(cloud, azcmagent, served):
    path = "/metadata/instance/compute?api-version=2020-06-01"
    told = {"resourceId": "/x", "location": "local", "tags": {"role": "web", "tier": "1"}}
    cloud.answers[("GET", "/agent/v1/instance")] = (200, told)
    async with cloud.serving():
        await azcmagent.connect()
        async with served(azcmagent.paths) as local:
            await until(lambda: cloud.channels)
            compute = (await local.get(path)).body
            _, key = await local.key()
            given = await local.get(f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}"})
            assert given.status == 200
    assert azcmagent.paths.known_tags.stat().st_mode & 0o777 == 0o600
    for file in filter(Path.is_file, azcmagent.paths.state.rglob("*")):
        assert given.body["access_token"] not in file.read_text(errors="replace").split('"')
    async with served(azcmagent.paths) as local:
        async with asyncio.timeout(SETTLE):
            while (answer := await local.get(path)).status != 200:
                await asyncio.sleep(0.1)
        assert answer.body == compute
        _, key = await local.key()
        refused = await local.get(f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}"})
        assert refused.status == 503
    await azcmagent("disconnect", "--force-local-only")
    assert not azcmagent.paths.known_tags.exists()


async def test_a_damaged_note_of_the_tags_stops_nothing(cloud, azcmagent, served):
    async with cloud.serving():
        await azcmagent.connect()
    azcmagent.paths.known_tags.write_text("{")
    async with served(azcmagent.paths) as local:
        async with asyncio.timeout(SETTLE):
            while (answer := await local.get("/metadata/instance?api-version=2020-06-01")).status != 200:
                await asyncio.sleep(0.1)
    assert answer.body["compute"]["tags"] == ""


async def test_metadata_is_answered_by_a_machine_that_never_reached_its_cloud(cloud, azcmagent, served):
    async with cloud.serving():
        await azcmagent.connect()
    async with served(azcmagent.paths) as local:
        async with asyncio.timeout(SETTLE):
            while (answer := await local.get("/metadata/instance?api-version=2020-06-01")).status != 200:
                await asyncio.sleep(0.1)
    assert answer.body["compute"]["name"] == "m1" and answer.body["compute"]["tags"] == ""


async def test_the_service_answers_on_ipv6_too(azcmagent, serving):
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    async with serving(azcmagent.paths) as local:
        head = f"GET /agentstatus HTTP/1.1\r\nHost: [::1]:{local.port}\r\n\r\n"
        assert b'"status"' in await local.raw(head.encode(), "::1")


async def test_the_agents_status_needs_no_header_and_tells_no_secret(connected):
    async with connected() as local:
        async with asyncio.timeout(SETTLE):
            while (answer := await local.get("/agentstatus", {})).body["status"] != "Connected":
                await asyncio.sleep(0.1)
        assert "token" not in json.dumps(answer.body)


# -- audit, files, the port --------------------------------------------------------------------


async def test_who_got_a_token_is_in_the_log_and_no_secret_is(cloud, azcmagent, connected):
    async with connected() as local:
        cloud.answers[("POST", "/t/token")] = (
            200,
            {"access_token": "eyJhIjoxfQ.eyJi.c2ln", "expires_in": 600},
        )
        _, key = await local.key()
        await local.get(
            f"{TOKEN}?{QUERY}", {**METADATA, "Authorization": f"Basic {key}", "Client-Id": "my\u00e4pp"}
        )
        log = azcmagent.paths.daemon_log.read_text()
    line = next(one for one in log.splitlines() if f"Token for '{RESOURCE}' given" in one)
    assert f"process {os.getpid()} ({os.path.realpath(sys.executable)}) of user {os.getuid()}" in line
    assert "client 'my" in line
    assert key not in log and "eyJhIjoxfQ" not in log


async def test_challenges_of_a_daemon_before_are_removed(azcmagent, served):
    azcmagent.paths.tokens.mkdir(parents=True)
    left = azcmagent.paths.tokens / f"{'0' * 32}.key"
    left.write_text("old")
    async with served(azcmagent.paths):
        await until(lambda: not left.exists())


async def test_no_challenge_outlives_the_daemon(connected):
    async with connected() as local:
        path, _ = await local.key()
        assert path.exists()
    assert not path.exists()


async def test_show_tells_where_the_service_of_a_relocated_agent_is(azcmagent, served):
    async with served(azcmagent.paths) as local:
        found = await asyncio.to_thread(ask, azcmagent.paths.socket, STATUS)
        assert found["identityEndpoint"] == f"http://localhost:{local.port}"
        assert found["identityProblem"] == ""
