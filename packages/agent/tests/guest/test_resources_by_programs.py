"""Packages, services and scripts: what programs of the machine tell and do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from landbridge_agent.guest.resources import KNOWN
from landbridge_agent.guest.resources.resource import CannotApply, read
from landbridge_agent.guest.system import NoProgram, System

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="accounts are root's to change")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def make(root):
    def made(kind, **values):
        found = KNOWN[kind.lower()]
        return found(read(found, values), System(root, relocated=True))

    return made


def codes(resource):
    return [reason.code.rpartition(":")[2] for reason in resource.test().reasons]


def phrases(resource):
    return [reason.phrase for reason in resource.test().reasons]


def applied(resource):
    """Set it, and check that it is as wanted then, also the second time."""
    resource.set()
    assert resource.test().reasons == []
    resource.set()
    assert resource.test().reasons == []


# -- packages ------------------------------------------------------------------------------------

dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="this machine has no dpkg")


@pytest.fixture
def packages(root):
    folder = root / "var/lib/dpkg"
    (folder / "info").mkdir(parents=True)
    (folder / "status").write_text(
        "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.2-3\n"
        "Maintainer: x <x@y.z>\nDescription: a tool\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
        "Maintainer: x <x@y.z>\nDescription: gone\n\n"
    )


@dpkg
def test_packages_are_told_by_dpkg(make, packages):
    assert codes(make("nxPackage", Name="tool", Version="1.2-3", PackageType="apt")) == []
    assert phrases(make("nxPackage", Name="tool", Version="2")) == [
        "The package tool is installed in version 1.2-3, not 2."
    ]
    assert codes(make("nxPackage", Name="gone")) == ["Ensure"]
    assert codes(make("nxPackage", Name="tool", Ensure="Absent")) == ["Ensure"]
    with pytest.raises(CannotApply, match="on the machine itself only"):
        make("nxPackage", Name="gone").set()


@dpkg
def test_installed_applications_are_audited(make, packages):
    both = make("GC_InstalledApplicationLinux", Name="x", AttributesYmlContent="packages: [tool; gone]")
    assert phrases(both) == ["The package gone is not installed and should be."]
    none = make("GC_NotInstalledApplicationLinux", Name="x", AttributesYmlContent="packages: [tool; gone]")
    assert phrases(none) == ["The package tool is installed and should not be."]
    with pytest.raises(CannotApply, match="only audits"):
        both.set()


def test_a_machine_without_packages_says_so(make):
    with pytest.raises(CannotApply, match="neither dpkg nor rpm"):
        make("nxPackage", Name="tool").test()


@dpkg
def test_a_package_that_apt_does_not_have_gives_its_reason():
    kind = KNOWN["nxpackage"]
    environment = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    bad = kind(
        read(kind, {"Name": "no-such-package-anywhere"}),
        System(Path("/"), relocated=False, environment=environment),
    )
    done = subprocess.run(["apt-get", "--version"], capture_output=True, check=False)
    if done.returncode or os.geteuid():
        pytest.skip("apt-get cannot be run here")
    bad.system.run = refusing(bad.system.run)
    with pytest.raises(CannotApply, match=r"apt-get: E: Unable to locate package no-such-package-anywhere"):
        bad.set()


def refusing(run):
    """No network: the lists are not fetched anew."""

    def only_installs(argv, **more):
        return run(["true"]) if argv[-1] == "update" else run(argv, **more)

    return only_installs


# -- services and scripts ------------------------------------------------------------------------

SCRIPT = """#!/bin/sh
case "$1" in
start) touch "$0.running";;
stop) rm -f "$0.running";;
status) test -e "$0.running" || exit 3;;
esac
"""


def test_an_init_script_is_enabled_and_started(make, root):
    (root / "etc/init.d").mkdir()
    (root / "etc/init.d/demo").write_text(SCRIPT)
    (root / "etc/init.d/demo").chmod(0o755)
    for level in "2345":
        (root / f"etc/rc{level}.d").mkdir()
    service = make("nxService", Name="demo", Enabled=True, State="Running")
    assert codes(service) == ["Enabled", "State"]
    applied(service)
    assert os.readlink(root / "etc/rc3.d/S50demo") == "../init.d/demo"
    applied(make("nxService", Name="demo", Enabled=False, State="stopped"))
    assert not list((root / "etc/rc3.d").glob("S*"))


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="this machine has no systemctl")
def test_a_unit_is_enabled_below_a_root_and_started_only_on_the_machine(make, root):
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    (root / "etc/systemd/system/demo.service").write_text(unit)
    service = make("nxService", Name="demo", Enabled="true")
    assert codes(service) == ["Enabled"]
    applied(service)
    with pytest.raises(CannotApply, match="on the machine itself only"):
        make("nxService", Name="demo", State="Running").set()


def test_a_service_that_is_not_there(make):
    assert codes(make("nxService", Name="none", State="Running")) == ["NotFound"]
    assert codes(make("nxService", Name="none", State="Stopped", Enabled=False)) == []
    with pytest.raises(CannotApply, match="no service none"):
        make("nxService", Name="none", State="Running").set()


def test_scripts_are_off_and_where_allowed_their_exit_code_decides(make, root):
    with pytest.raises(CannotApply, match=r"guestconfiguration\.scripts\.enabled true"):
        make("nxScript", TestScript="true").test()
    kind = KNOWN["nxscript"]
    values = {
        "TestScript": f"test -e {root}/x || {{ echo not there; exit 3; }}",
        "SetScript": f"touch {root}/x",
    }
    script = kind(read(kind, values), System(root, relocated=True, scripts=True))
    assert phrases(script) == ["TestScript ended with 3: not there"]
    applied(script)


def test_a_program_that_hangs_or_is_not_there_is_a_reason():
    system = System(Path("/"), relocated=False)
    with pytest.raises(NoProgram, match="did not end within"):
        system.run(["sh", "-c", "sleep 61.7531; true"], seconds=0.3)
    assert system.run(["pgrep", "-f", "^sleep 61.7531"]).code == 1
    with pytest.raises(NoProgram, match="is not installed"):
        system.run(["no-such-program"])
