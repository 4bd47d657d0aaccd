"""``azcmagent version``; the bare form is answered in ``main`` without this module."""

from __future__ import annotations

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.version import AGENT_VERSION


def run(call: Call) -> int:
    """Print the version."""
    if call.out.json:
        call.out.object({"agentVersion": AGENT_VERSION})
    else:
        call.out.print(f"azcmagent version {AGENT_VERSION}")
    return 0


COMMAND = Command(
    name="version",
    summary="Display the Hybrid Management Agent version",
    synopsis="Display the Hybrid Management Agent version",
    flags=(),
    run=run,
)
