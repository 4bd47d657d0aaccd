"""``azcmagent license``: the terms under which this agent is given away."""

from __future__ import annotations

from importlib.resources import files

from landbridge_agent.cli.command import Call, Command


def run(call: Call) -> int:
    """Print the licence."""
    text = files("landbridge_agent").joinpath("LICENSE").read_text("utf-8").rstrip()
    if call.out.json:
        call.out.object({"license": text})
    else:
        call.out.print(text)
    return 0


COMMAND = Command(
    name="license",
    summary="Display the licence of this agent",
    synopsis="Display the terms under which this agent may be used. Nothing has to be accepted.",
    flags=(),
    run=run,
)
