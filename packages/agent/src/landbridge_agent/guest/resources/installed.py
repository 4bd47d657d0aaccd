"""``nxPackage`` and the two audits of installed applications: packages of dpkg/apt or rpm.

Whether a package is installed is asked of dpkg or rpm; apt-get, or dnf, yum or zypper, installs and
removes it. ``Version`` is the package's own, in full. Names are checked before any program sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from landbridge_agent.guest.resources.resource import (
    ENSURE,
    TEXT,
    BadProperty,
    CannotApply,
    Found,
    Kind,
    Reason,
    Resource,
)
from landbridge_agent.guest.system import INSTALL_SECONDS, System

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}(?::[a-z0-9]{1,16})?")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~:_-]{0,127}")

DPKG, RPM = "dpkg", "rpm"
APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}


def kind_of(system: System) -> str:
    """Return dpkg or rpm.

    Raises:
        CannotApply: the machine has neither.
    """
    if system.files.look("/var/lib/dpkg/status") is not None:
        return DPKG
    for folder in ("/var/lib/rpm", "/usr/lib/sysimage/rpm"):
        if system.files.look(folder) is not None:
            return RPM
    raise CannotApply("This machine has neither dpkg nor rpm, so its packages cannot be told.")


def installed(system: System, name: str, kind: str = "") -> str:
    """Return the version in which a package is installed; empty: it is not.

    Raises:
        CannotApply, NoProgram, BadProperty: it cannot be told.
    """
    if not NAME.fullmatch(name):
        raise BadProperty(f"'{name[:40]}' cannot be the name of a package.")
    if (kind or kind_of(system)) == DPKG:
        where = [f"--admindir={system.root}/var/lib/dpkg"] if system.relocated else []
        done = system.run(["dpkg-query", *where, "-W", "-f", "${db:Status-Status} ${Version}\n", name])
        rows = [line.split(" ", 1) for line in done.out.splitlines()]
        return next((row[1] for row in rows if row[0] == "installed" and len(row) == 2), "")
    where = [f"--root={system.root}"] if system.relocated else []
    done = system.run(["rpm", *where, "-q", "--qf", "%{VERSION}-%{RELEASE}\n", "--", name])
    return done.out.split("\n")[0] if done.code == 0 else ""


class NxPackage(Resource):
    """A package: that it is installed, in one version if need be, or is not."""

    type = "nxPackage"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Name": TEXT,
        "Ensure": ENSURE,
        "Version": TEXT,
        "PackageType": TEXT,
    }
    required = ("Name",)
    _TYPES: ClassVar[Mapping[str, str]] = {
        "": "",
        "dpkg": DPKG,
        "apt": DPKG,
        "deb": DPKG,
        "rpm": RPM,
        "yum": RPM,
        "dnf": RPM,
        "zypper": RPM,
    }

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        self._name, self._version = self.text("Name"), self.text("Version")
        if not NAME.fullmatch(self._name):
            raise BadProperty(f"nxPackage: '{self._name[:40]}' cannot be the name of a package.")
        if self._version and not VERSION.fullmatch(self._version):
            raise BadProperty(f"nxPackage: '{self._version[:40]}' cannot be a version.")
        kind = self._TYPES.get(self.text("PackageType").lower())
        if kind is None:
            raise BadProperty("nxPackage.PackageType must be dpkg, apt, rpm, yum, dnf or zypper.")
        self._kind = kind

    def test(self) -> Found:
        """Compare, as the base class says."""
        version = installed(self.system, self._name, self._kind)
        state = {"Name": self._name, "Ensure": "Present" if version else "Absent", "Version": version}
        return Found(self._reasons(version), state)

    def _reasons(self, version: str) -> list[Reason]:
        if self.wanted and not version:
            return [self.reason("Ensure", f"The package {self._name} is not installed.")]
        if self.wanted and self._version and version != self._version:
            phrase = f"The package {self._name} is installed in version {version}, not {self._version}."
            return [self.reason("Version", phrase)]
        if not self.wanted and version and self._version in ("", version):
            return [
                self.reason("Ensure", f"The package {self._name} {version} is installed and should not be.")
            ]
        return []

    def set(self) -> None:
        """Make it so, as the base class says."""
        if self.system.relocated:
            raise CannotApply("Packages are installed on the machine itself only, not below another root.")
        kind = self._kind or kind_of(self.system)
        if kind == DPKG:
            self._apt()
        else:
            self._rpm()

    def _apt(self) -> None:
        if not self.wanted:
            self._call([*APT, "remove", self._name])
            return
        target = f"{self._name}={self._version}" if self._version else self._name
        install = [*APT, "install", "--no-install-recommends", "--allow-downgrades", target]
        done = self.system.run(install, seconds=INSTALL_SECONDS, more=QUIET)
        if "dpkg --configure -a" in done.err:  # whoever was at it before was interrupted
            self._call(["dpkg", "--configure", "-a"])
        if done.code:  # the lists may be old
            self.system.run([*APT, "update"], seconds=INSTALL_SECONDS, more=QUIET)
            self._call(install)

    def _rpm(self) -> None:
        verb = "install" if self.wanted else "remove"
        target = f"{self._name}-{self._version}" if self._version else self._name
        for program in ("dnf", "yum", "zypper"):
            if self.system.files.look(f"/usr/bin/{program}") is not None:
                self._call([program, "--non-interactive" if program == "zypper" else "-y", verb, target])
                return
        raise CannotApply("This machine has no dnf, yum or zypper to install packages with.")

    def _call(self, argv: Sequence[str]) -> None:
        done = self.system.run(argv, seconds=INSTALL_SECONDS, more=QUIET)
        if done.code:
            raise CannotApply(f"{argv[0]}: {done.why}")


class GcInstalledApplicationLinux(Resource):
    """``AttributesYmlContent`` lists packages that are to be installed. It audits; nothing is installed."""

    type = "GC_InstalledApplicationLinux"
    properties: ClassVar[Mapping[str, Kind]] = {"Name": TEXT, "AttributesYmlContent": TEXT}
    expected = True

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        text = str(values.get("AttributesYmlContent", "packages: [Unknown Application]")).strip()
        found = re.fullmatch(r"(?:packages:\s*)?\[?(.*?)\]?", text, re.DOTALL)
        listed = found.group(1) if found else ""
        self._names = [one.strip().strip("'\"") for one in re.split(r"[;,]", listed) if one.strip()]
        bad = [one for one in self._names if not NAME.fullmatch(one)]
        if bad:
            raise BadProperty(f"{self.type}: '{bad[0][:40]}' cannot be the name of a package.")

    def test(self) -> Found:
        """Compare, as the base class says."""
        versions = {name: installed(self.system, name) for name in self._names}
        wrong = [name for name in self._names if bool(versions[name]) != self.expected]
        word = "is not installed and should be" if self.expected else "is installed and should not be"
        reasons = [self.reason("Ensure", f"The package {name} {word}.") for name in wrong]
        return Found(reasons, {"Packages": {name: versions[name] for name in self._names}})

    def set(self) -> None:
        """Refuse."""
        raise CannotApply(f"{self.type} only audits. Use nxPackage to install or remove packages.")


class GcNotInstalledApplicationLinux(GcInstalledApplicationLinux):
    """``AttributesYmlContent`` lists packages that are not to be installed. It audits; nothing is removed."""

    type = "GC_NotInstalledApplicationLinux"
    expected = False
