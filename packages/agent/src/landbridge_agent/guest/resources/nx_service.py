"""``nxService``: whether a service is started with the machine, and whether it runs.

Under systemd ``systemctl`` is asked; elsewhere the init script in /etc/init.d, and the links in
/etc/rc?.d. ``Controller`` names one of them; without it, what runs the machine is found out.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from landbridge_agent.guest.resources.resource import (
    FLAG,
    TEXT,
    BadProperty,
    CannotApply,
    Found,
    Kind,
    Reason,
    Resource,
)
from landbridge_agent.guest.system import System

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}")
RUNNING, STOPPED = "running", "stopped"
LEVELS = ("2", "3", "4", "5")


class Controller(ABC):
    """What starts and stops services."""

    def __init__(self, system: System, name: str) -> None:
        self.system, self.name = system, name

    @abstractmethod
    def state(self) -> tuple[bool, bool] | None:
        """Return whether the service is enabled and runs; None where there is none of that name."""

    @abstractmethod
    def enable(self, on: bool) -> None:
        """Have it started with the machine, or not.

        Raises:
            CannotApply: it was refused.
        """

    @abstractmethod
    def start(self, on: bool) -> None:
        """Start it, or stop it.

        Raises:
            CannotApply: it was refused.
        """

    def call(self, *argv: str) -> None:
        """Run a program that must succeed.

        Raises:
            CannotApply: it did not; the text is what it said.
        """
        done = self.system.run(argv)
        if done.code:
            raise CannotApply(f"{' '.join(argv[:3])}: {done.why}")


class Systemd(Controller):
    """Services of systemd. Below another root they can be enabled, not started."""

    def _ctl(self, *words: str) -> tuple[str, ...]:
        where = (f"--root={self.system.root}",) if self.system.relocated else ()
        return ("systemctl", *where, *words, self.name if "." in self.name else f"{self.name}.service")

    def state(self) -> tuple[bool, bool] | None:
        """Return it, as the base class says."""
        enabled = self.system.run(self._ctl("is-enabled")).out.strip()
        if not enabled or enabled == "not-found":
            return None
        active = ""
        if not self.system.relocated:
            active = self.system.run(self._ctl("is-active")).out.strip()
        return enabled in ("enabled", "enabled-runtime", "static", "alias", "indirect"), active in (
            "active",
            "reloading",
            "activating",
        )

    def enable(self, on: bool) -> None:
        """Do it, as the base class says."""
        self.call(*self._ctl("enable" if on else "disable"))

    def start(self, on: bool) -> None:
        """Do it, as the base class says."""
        if self.system.relocated:
            raise CannotApply("Services are started on the machine itself only, not below another root.")
        self.call(*self._ctl("start" if on else "stop"))


class InitScripts(Controller):
    """Services of System V init: a script that knows start, stop and status (LSB)."""

    @property
    def _script(self) -> str:
        return f"/etc/init.d/{self.name}"

    def state(self) -> tuple[bool, bool] | None:
        """Return it, as the base class says."""
        if self.system.files.look(self._script) is None:
            return None
        running = self.system.run([self._program, "status"]).code == 0
        return any(self._links("S")), running

    @property
    def _program(self) -> str:
        return str(self.system.root) + self._script if self.system.relocated else self._script

    def _links(self, letter: str) -> list[str]:
        found = (self.system.root / "etc").glob(f"rc[{''.join(LEVELS)}].d/{letter}[0-9][0-9]{self.name}")
        return [str(one) for one in found]

    def enable(self, on: bool) -> None:
        """Do it, as the base class says."""
        if self.system.relocated:
            self._link(on)
        elif self.system.files.look("/usr/sbin/update-rc.d") is not None:
            self.call("update-rc.d", self.name, "defaults")
            self.call("update-rc.d", self.name, "enable" if on else "disable")
        elif self.system.files.look("/sbin/chkconfig") is not None:
            self.call("chkconfig", self.name, "on" if on else "off")
        else:
            self._link(on)

    def _link(self, on: bool) -> None:
        for level in LEVELS:
            folder = f"/etc/rc{level}.d"
            if self.system.files.look(folder) is None:
                continue
            old, new = (
                f"{folder}/{letter}{self.name}" for letter in (("K01", "S50") if on else ("S50", "K01"))
            )
            for path in self._links("K" if on else "S"):
                inside = "/" + str(self.system.root.joinpath(path).relative_to(self.system.root))
                self.system.files.remove(inside)
            self.system.files.remove(old)
            self.system.files.make_link(new, f"../init.d/{self.name}")

    def start(self, on: bool) -> None:
        """Do it, as the base class says."""
        word = "start" if on else "stop"
        done = self.system.run([self._program, word], to_stay=True)
        if done.code:
            raise CannotApply(f"{self._script} {word}: {done.why}")


class NxService(Resource):
    """The resource."""

    type = "nxService"
    properties: ClassVar[Mapping[str, Kind]] = {
        "Name": TEXT,
        "Enabled": FLAG,
        "State": TEXT,
        "Controller": TEXT,
    }
    required = ("Name",)

    def __init__(self, values: Any, system: Any) -> None:
        super().__init__(values, system)
        name = self.text("Name")
        if not NAME.fullmatch(name):
            raise BadProperty(f"nxService: '{name[:40]}' cannot be the name of a service.")
        self._state = self.text("State").lower()
        if self._state not in ("", RUNNING, STOPPED):
            raise BadProperty(f"nxService.State must be Running or Stopped, not '{self._state[:20]}'.")
        self._services = self._controller(self.text("Controller").lower(), name)

    def _controller(self, word: str, name: str) -> Controller:
        if not word:
            word = "systemd" if self.system.files.look("/run/systemd/system") is not None else "init"
        if word == "systemd":
            return Systemd(self.system, name)
        if word in ("init", "sysv", "sysvinit", "init.d"):
            return InitScripts(self.system, name)
        raise BadProperty(f"nxService.Controller must be systemd or init, not '{word[:20]}'.")

    def test(self) -> Found:
        """Compare, as the base class says."""
        name, state = self.text("Name"), self._services.state()
        if state is None:
            missing = self.reason("NotFound", f"There is no service {name} on this machine.")
            absent = self.values.get("Enabled") is not True and self._state != RUNNING
            return Found([] if absent else [missing], {"Name": name, "State": "absent"})
        enabled, running = state
        return Found(
            self._reasons(name, enabled, running),
            {"Name": name, "Enabled": enabled, "State": RUNNING if running else STOPPED},
        )

    def _reasons(self, name: str, enabled: bool, running: bool) -> list[Reason]:
        reasons = []
        if "Enabled" in self.values and self.on("Enabled") != enabled:
            words = ("enabled", "disabled") if enabled else ("disabled", "enabled")
            reasons.append(self.reason("Enabled", f"The service {name} is {words[0]}, not {words[1]}."))
        if self._state and (self._state == RUNNING) != running:
            words = (RUNNING, STOPPED) if running else (STOPPED, RUNNING)
            reasons.append(self.reason("State", f"The service {name} is {words[0]}, not {words[1]}."))
        return reasons

    def set(self) -> None:
        """Make it so, as the base class says."""
        state = self._services.state()
        if state is None:
            raise CannotApply(f"There is no service {self.text('Name')} on this machine.")
        enabled, running = state
        if "Enabled" in self.values and self.on("Enabled") != enabled:
            self._services.enable(self.on("Enabled"))
        if self._state and (self._state == RUNNING) != running:
            self._services.start(self._state == RUNNING)
