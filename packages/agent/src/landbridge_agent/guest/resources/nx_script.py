"""``nxScript``: what a script tests and another sets, with ``/bin/sh``. Off unless this machine allows it.

``TestScript`` ends with 0 where all is as wanted; ``SetScript`` makes it so, and ends with 0;
what ``GetScript`` prints is part of the report. A script can do anything, so the machine's
administrator decides: ``azcmagent config set guestconfiguration.scripts.enabled true``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from landbridge_agent.guest.resources.resource import TEXT, CannotApply, Found, Kind, Resource
from landbridge_agent.guest.system import INSTALL_SECONDS, Ran

SHOWN = 1024
"""How many characters of what GetScript prints a report repeats."""

OFF = (
    "Scripts of configurations do not run on this machine: guestconfiguration.scripts.enabled is false. "
    "Its administrator can allow them: azcmagent config set guestconfiguration.scripts.enabled true"
)


class NxScript(Resource):
    """The resource."""

    type = "nxScript"
    properties: ClassVar[Mapping[str, Kind]] = {"GetScript": TEXT, "TestScript": TEXT, "SetScript": TEXT}
    required = ("TestScript",)

    def _run(self, name: str) -> Ran:
        if not self.system.scripts:
            raise CannotApply(OFF)
        return self.system.run(["/bin/sh", "-s"], given=self.text(name), seconds=INSTALL_SECONDS)

    def test(self) -> Found:
        """Compare, as the base class says."""
        done = self._run("TestScript")
        state = {}
        if self.text("GetScript"):
            state["Result"] = self._run("GetScript").out[:SHOWN]
        if done.code == 0:
            return Found([], state)
        return Found([self.reason("TestFailed", f"TestScript ended with {done.code}: {done.why}")], state)

    def set(self) -> None:
        """Make it so, as the base class says."""
        if not self.text("SetScript"):
            raise CannotApply("There is no SetScript, so nothing can be set.")
        done = self._run("SetScript")
        if done.code:
            raise CannotApply(f"SetScript ended with {done.code}: {done.why}")
