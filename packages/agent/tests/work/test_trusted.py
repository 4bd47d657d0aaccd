"""Whom root believes: the cloud that root has named, and no file that the daemon's user may change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from landbridge_agent.cli import new_state
from landbridge_agent.dial import Untrusted
from landbridge_agent.machine import AgentConfig, CloudFile, Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.work import trusted

CONFIG = AgentConfig(*[""] * len(AgentConfig._fields))._replace(
    endpoint="https://cloud.test:1", caFile="/x/ca"
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="it is about what root believes")


@pytest.fixture
def installed(tmp_path: Path) -> Machine:
    """An agent for the whole machine, whose root is a folder."""
    machine = Machine(Paths(tmp_path, False))
    (tmp_path / "etc/opt/azcmagent").mkdir(parents=True)
    return machine


def name_cloud(machine: Machine, endpoint: str, ca_file: str = "") -> None:
    machine.paths.cloud.write_text(json.dumps({"endpoint": endpoint, "caFile": ca_file}))


def test_an_agent_of_ones_own_believes_its_own_folder(tmp_path):
    machine = Machine(Paths(tmp_path, True))
    assert trusted.cloud_of(machine, CONFIG) == CloudFile("https://cloud.test:1", "/x/ca")


@needs_root
def test_root_takes_the_cloud_and_its_ca_from_roots_file(installed, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    name_cloud(installed, "https://cloud.test:1/", str(ca))
    assert trusted.cloud_of(installed, CONFIG) == CloudFile("https://cloud.test:1", str(ca))


@needs_root
def test_a_connect_without_an_installer_names_the_cloud_in_roots_folder(installed, tmp_path):
    new_state.name_cloud(installed, CONFIG.endpoint, b"a root")
    own = tmp_path / "etc/opt/azcmagent/ca.pem"
    assert trusted.cloud_of(installed, CONFIG) == CloudFile(CONFIG.endpoint, str(own))
    assert own.read_bytes() == b"a root" and own.stat().st_mode & 0o777 == 0o644


@needs_root
def test_root_does_nothing_for_a_cloud_that_it_has_not_named(installed):
    with pytest.raises(StateError, match="does not exist, so root does not know"):
        trusted.cloud_of(installed, CONFIG)
    name_cloud(installed, "https://other.test")
    with pytest.raises(StateError, match="nothing is carried out"):
        trusted.cloud_of(installed, CONFIG)


@needs_root
@pytest.mark.parametrize("change", [lambda path: os.chown(path, 1234, -1), lambda path: path.chmod(0o666)])
def test_root_does_not_believe_files_that_others_may_change(installed, tmp_path, change):
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    name_cloud(installed, CONFIG.endpoint, str(ca))
    change(ca)
    with pytest.raises(StateError, match=r"ca\.pem can be changed by others"):
        trusted.cloud_of(installed, CONFIG)
    name_cloud(installed, CONFIG.endpoint)
    change(installed.paths.cloud)
    with pytest.raises(StateError, match=r"cloud\.json can be changed by others"):
        trusted.cloud_of(installed, CONFIG)


@needs_root
@pytest.mark.parametrize("change", [lambda path: os.chown(path, 1234, -1), lambda path: path.chmod(0o777)])
def test_root_does_not_believe_a_file_that_others_may_put_another_in_the_place_of(
    installed, tmp_path, change
):
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ca.pem").write_text("")
    (tmp_path / "link.pem").symlink_to(folder / "ca.pem")
    change(folder)
    for name in ("certs/ca.pem", "link.pem"):
        name_cloud(installed, CONFIG.endpoint, str(tmp_path / name))
        with pytest.raises(StateError, match="certs can be changed by others"):
            trusted.cloud_of(installed, CONFIG)


@needs_root
def test_root_obeys_nobody_about_another_machine_than_it_has_connected(installed):
    name_cloud(installed, CONFIG.endpoint)
    mine, other = CONFIG._replace(clientId="mine"), CONFIG._replace(clientId="other")
    new_state.name_machine(installed, "mine")
    assert trusted.cloud_of(installed, mine).endpoint == CONFIG.endpoint
    with pytest.raises(StateError, match="not what root has connected"):
        trusted.cloud_of(installed, other)
    new_state.name_machine(installed, "")  # as a disconnect does
    with pytest.raises(StateError, match="not what root has connected"):
        trusted.cloud_of(installed, mine)


@needs_root
def test_root_takes_tokens_only_of_who_gave_them_when_it_connected(installed):
    """Another could give one of another machine, about which others decide."""
    name_cloud(installed, CONFIG.endpoint)
    mine = CONFIG._replace(clientId="mine", tokenEndpoint="https://cloud.test:1/t/oauth2/v2.0/token")
    for _ in ("as it was connected", "as it was found"):
        new_state.name_machine(installed, mine.clientId, mine.tokenEndpoint)
        trusted.cloud_of(installed, mine)
        with pytest.raises(StateError, match="not what root has connected"):
            trusted.cloud_of(installed, mine._replace(tokenEndpoint="https://other.test/token"))
        installed.paths.root_identity.unlink()
        trusted.cloud_of(installed, mine)


@needs_root
def test_a_machine_of_before_is_taken_as_it_is_found_once(installed):
    name_cloud(installed, CONFIG.endpoint)
    mine, other = CONFIG._replace(clientId="mine"), CONFIG._replace(clientId="other")
    trusted.cloud_of(installed, mine)
    trusted.cloud_of(installed, mine)
    with pytest.raises(StateError, match="not what root has connected"):
        trusted.cloud_of(installed, other)


def root_of(issuer) -> str:
    return issuer.pem(issuer.certificate)


def test_roots_that_the_cloud_names_are_trusted_besides_the_file(tmp_path, cloud):
    machine = Machine(Paths(tmp_path, True))
    machine.paths.work.mkdir(parents=True)
    ca = tmp_path / "ca.pem"
    ca.write_text(root_of(cloud.issuer))
    known = CloudFile("https://cloud.test", str(ca))
    other = type(cloud.issuer)()
    assert trusted.learn(machine.paths, known, root_of(other))
    assert not trusted.learn(machine.paths, known, root_of(other))
    assert len(trusted.context_of(machine.paths, known).get_ca_certs()) == 2
    trusted.forget(machine.paths)
    assert len(trusted.context_of(machine.paths, known).get_ca_certs()) == 1


def test_what_is_no_certificate_is_not_learnt(tmp_path):
    machine = Machine(Paths(tmp_path, True))
    machine.paths.work.mkdir(parents=True)
    known = CloudFile("https://cloud.test", "/x/ca")
    assert not trusted.learn(machine.paths, known, "no certificates")
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(Untrusted):
        trusted.learn(machine.paths, known, broken)
    assert not (machine.paths.work / trusted.LEARNT).exists()
