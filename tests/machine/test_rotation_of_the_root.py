"""The cloud's root is replaced under connected machines, and under one that was off meanwhile."""

from __future__ import annotations

import asyncio
import json

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from landbridge_agent.roots import MARK, certificates
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.cli.main import main


async def test_reconnect_with_a_ca_file_takes_the_place_of_a_file_that_is_not_the_agents(
    cloud, agent, tmp_path
):
    assert (await agent.connect()).code == 0
    elsewhere = tmp_path / "elsewhere.pem"
    elsewhere.write_bytes(CertificateAuthority.open(tmp_path / "other-ca", 1_700_000_000.0).bundle.encode())
    config = json.loads(agent.paths.agent_config.read_text()) | {"caFile": str(elsewhere)}
    agent.paths.agent_config.write_text(json.dumps(config))
    assert (await agent.run("reconnect")).code != 0
    ran = await agent.run("reconnect", "--ca-file", cloud.admin["caFile"])
    assert ran.code == 0, ran.err
    assert json.loads(agent.paths.agent_config.read_text())["caFile"] == str(agent.paths.cloud_ca)
    async with agent.himdsd():
        await agent.until("Connected")


@pytest.fixture
def other_cloud_root(tmp_path) -> str:
    return CertificateAuthority.open(tmp_path / "other-ca", 1_700_000_000.0).bundle


async def rotate(cloud, step: str, *more: str) -> int:
    done = await asyncio.to_thread(
        main, ["ca", "rotate", f"--{step}", "--data", str(cloud.config.data), *more]
    )
    await cloud.plane.settle()
    return done


def trusted(agent) -> list[str]:
    """The names of the roots that the machine trusts."""
    found = certificates(agent.paths.cloud_ca.read_text())
    return [x509.load_pem_x509_certificate(one.encode()).subject.rfc4514_string()[3:] for one in found]


def issued_by(agent, certificate: x509.Certificate) -> bool:
    leaf = x509.load_pem_x509_certificate(agent.paths.identity.read_bytes())
    try:
        leaf.verify_directly_issued_by(certificate)
    except (ValueError, InvalidSignature):
        return False
    return True


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.1)


async def test_a_connected_machine_learns_renews_and_forgets(cloud, agent, capsys):
    assert (await agent.connect()).code == 0
    first, second = "Landbridge Root CA,O=Landbridge", "Landbridge Root CA G2,O=Landbridge"
    assert await rotate(cloud, "prepare") == 0
    async with agent.himdsd():
        await until(lambda: trusted(agent) == [first, second])
        await agent.until("Connected")
    assert await rotate(cloud, "activate") == 0
    capsys.readouterr()
    assert await rotate(cloud, "finish") == 1
    assert "1 machine still has its certificate from the old root" in capsys.readouterr().err
    async with agent.himdsd():
        await until(lambda: issued_by(agent, cloud.plane.authority.issuing.certificate))
        await until(lambda: trusted(agent) == [second, first])
        assert await rotate(cloud, "finish") == 0, capsys.readouterr().err
    async with agent.himdsd():
        await until(lambda: trusted(agent) == [second])
        await agent.until("Connected")


async def test_a_machine_that_was_off_all_the_time_is_given_the_new_root_by_hand(cloud, agent, tmp_path):
    assert (await agent.connect()).code == 0
    for step, more in (("prepare", ()), ("activate", ()), ("finish", ("--force",))):
        assert await rotate(cloud, step, *more) == 0
    ran = await agent.run("check", "--json")
    assert ran.code != 0 and "not trusted" in json.dumps(ran.out + ran.err)
    new = tmp_path / "new-root.pem"
    new.write_bytes((cloud.config.data / "ca/root.pem").read_bytes())
    ran = await agent.run("reconnect", "--ca-file", str(new))
    assert ran.code == 0, ran.err
    async with agent.himdsd():
        await agent.until("Connected")


async def test_roots_with_which_the_cloud_is_not_reached_are_not_taken(cloud, agent, other_cloud_root):
    assert (await agent.connect()).code == 0
    async with agent.himdsd():
        await until(lambda: MARK in agent.paths.cloud_ca.read_text())
    held = agent.paths.cloud_ca.read_bytes()
    cloud.plane.fleet.trust = lambda: (other_cloud_root, 0.0)
    async with agent.himdsd():
        await until(lambda: "The cloud's roots stay as they are" in agent.paths.daemon_log.read_text())
        await agent.until("Connected")
    assert agent.paths.cloud_ca.read_bytes() == held
