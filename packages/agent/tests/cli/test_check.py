"""``azcmagent check`` against a small real cloud over TLS."""

from __future__ import annotations

import json

import pytest


async def check(cloud, azcmagent, *more):
    return await azcmagent("check", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), *more)


async def test_what_can_be_reached_is_shown_in_the_documents_columns(cloud, azcmagent):
    async with cloud.serving():
        ran = await check(cloud, azcmagent, "--location", "eastus", "--extensions", "all")
    assert ran.code == 0, ran.err
    header = next(line for line in ran.out.splitlines() if line.startswith("ENDPOINT"))
    assert [cell.strip() for cell in header.split("|")][:5] == [
        "ENDPOINT", "REACHABLE", "PRIVATE", "TLS", "PROXY",
    ]  # fmt: skip
    row = next(line for line in ran.out.splitlines() if line.startswith(cloud.url))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1:5] == ["true", "true", "TLS 1.3", "not set"]
    assert cells[6:] == ["127.0.0.1", "Test CA"]


async def test_a_connected_machine_proves_its_identity(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        ran = await azcmagent("check", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["identity"] == "accepted" and found["criticalFailures"] == 0
    assert abs(found["clockSkewSeconds"]) <= 2


async def test_a_refused_identity_is_a_failure(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.answers[("POST", "/t/token")] = (401, {"error": "invalid_client", "error_description": "gone"})
        ran = await azcmagent("check")
    assert ran.code == 26
    assert "identity is not accepted" in ran.err and "gone" in ran.err


async def test_what_cannot_be_reached_says_why_and_fails(cloud, azcmagent, closed_port):
    cloud.url = f"https://127.0.0.1:{closed_port}"
    ran = await check(cloud, azcmagent)
    assert ran.code == 26
    assert "refused the connection" in ran.out and "AZCM0026" in ran.err


async def test_another_ca_is_named_with_what_to_do(cloud, azcmagent):
    async with cloud.serving():
        other = type(cloud.issuer)()
        cloud.ca_file.write_text(other.pem(other.certificate))
        ran = await check(cloud, azcmagent)
    assert ran.code == 26
    assert "not trusted" in ran.out and "--ca-file" in ran.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--enable-pls-check",), 3),
        (("--use-private-link",), 3),
        (("--extensions", "sql"), 3),
        (("--extensions", "many"), 23),
        (("tpm",), 28),
        (("more",), 23),
    ],
)
async def test_what_this_cloud_does_not_have_is_not_pretended(azcmagent, words, code):
    assert (await azcmagent("check", *words)).code == code


async def test_without_a_cloud_there_is_nothing_to_check(azcmagent):
    assert (await azcmagent("check")).code == 75
