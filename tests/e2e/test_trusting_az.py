"""``landbridge trust az`` and the served script for Linux, with the real ``az``; what az refuses untrusted.

Each ``az`` has a certifi of its own, and no ``REQUESTS_CA_BUNDLE``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from own_az import OwnAz
from running import ControlPlane, short_folder

pytestmark = [pytest.mark.az, pytest.mark.slow]

UNVERIFIED = {"AZURE_CLI_DISABLE_CONNECTION_VERIFICATION": "1", "ADAL_PYTHON_SSL_NO_VERIFY": "1"}
ALIASES = {"UbuntuLTS": {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "14.04", "version": "1"}}


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    """A control plane that serves an image alias."""
    folder = short_folder()
    plane = ControlPlane(folder)
    document = {"outputs": {"aliases": {"value": {"Linux": ALIASES, "Windows": {}}}}}
    (folder / "aliases.json").write_text(json.dumps(document))
    try:
        plane.landbridge("image", "aliases", "set", str(folder / "aliases.json"))
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(params=["2.66", pytest.param("2.91", marks=pytest.mark.soak)])
def az(request: pytest.FixtureRequest, cloud: ControlPlane) -> Iterator[OwnAz]:
    """An ``az`` that trusts nobody of ours yet."""
    folder = short_folder()
    yield OwnAz(str(request.param), folder, cloud.admin.ca_file)
    shutil.rmtree(folder)


def refuses_certificate(said: str) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in said


def test_trust_and_undo_leave_az_as_it_was(az: OwnAz, cloud: ControlPlane, tmp_path: Path) -> None:
    before = az.bundle.read_bytes()
    register = ("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", cloud.admin.url)
    trust = f"landbridge trust az --data '{cloud.data}' --label 'Our root'"
    done = az.script(trust, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{az.bundle}: the root is added" in done.stdout
    assert b"# Label: Our root\n" in az.bundle.read_bytes()
    az(*register)
    assert az("config", "get", "core.instance_discovery")["value"] == "false"
    assert az.script(f"{trust} --undo", tmp_path).returncode == 0
    assert az.bundle.read_bytes() == before
    assert az.call("config", "get", "core.instance_discovery").returncode != 0
    refused = az.call("cloud", "register", "-n", "Again", *register[4:])
    assert refused.returncode != 0
    assert refuses_certificate(refused.stderr), refused.stderr


def test_the_served_script_for_linux_does_the_same(az: OwnAz, cloud: ControlPlane, tmp_path: Path) -> None:
    before = az.bundle.read_bytes()
    with cloud.opener.open(f"{cloud.admin.url}/trust/linux.sh", timeout=30) as answer:
        (tmp_path / "trust.sh").write_bytes(answer.read())
    for said in ("the root is added", "has the root already"):
        done = az.script("sh trust.sh", tmp_path)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert cloud.landbridge("ca", "export", "--format", "fingerprint").strip() in done.stdout
    assert az.bundle.read_bytes().count(cloud.admin.ca_file.read_bytes().strip()) == 1
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", f"{cloud.admin.url}//",
       "--endpoint-vm-image-alias-doc", f"{cloud.admin.url}/aliases.json")  # fmt: skip
    az("cloud", "set", "-n", "Mine")
    admin = cloud.admin
    app = ("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret)
    az(*app, "--tenant", admin.tenant)
    assert [image["urnAlias"] for image in az("vm", "image", "list")] == ["UbuntuLTS"]

    done = az.script("sh trust.sh --undo", tmp_path)
    assert done.returncode == 0, done.stderr
    assert az.bundle.read_bytes() == before
    what_is_not_verified(az, cloud)


def what_is_not_verified(az: OwnAz, cloud: ControlPlane) -> None:
    """Check what docs/how-to/use-az.md says of the variables that switch verification off."""
    az.environment["AZURE_CORE_INSTANCE_DISCOVERY"] = "false"
    refused = az.call("group", "list")
    assert refused.returncode != 0
    assert refuses_certificate(refused.stderr)
    az.environment.update(UNVERIFIED)
    assert az("group", "list") == []
    register = az.call("cloud", "register", "-n", "Again", "--endpoint-resource-manager", cloud.admin.url)
    other = ("-u", "00000000-0000-0000-0000-000000000001", "-p", "x", "--tenant", cloud.admin.tenant)
    sign_in = az.call("login", "--service-principal", *other)
    for refused in (register, sign_in):
        assert refused.returncode != 0
        assert refuses_certificate(refused.stderr), refused.stderr
