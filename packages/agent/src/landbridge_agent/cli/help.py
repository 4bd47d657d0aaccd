"""``azcmagent help``: the overview, a command's help, or what an AZCM code means."""

from __future__ import annotations

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.run import load
from landbridge_agent.cli.verbs import VERBS
from landbridge_agent.codes import CODES, AgentError


def overview() -> str:
    """Return the list of commands."""
    width = max(len(name) for name in VERBS)
    return "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())


def _code(word: str) -> str | None:
    digits = word.upper().removeprefix("AZCM")
    if not word.upper().startswith("AZCM") or not digits.isdigit():
        return None
    code = CODES.get(int(digits))
    if code is None:
        raise AgentError(23, f"This agent has no code {word.upper()}.")
    return f"AZCM{int(digits):04d}: {code.title}\n  Exit code: {int(digits)}\n  Remedy: {code.remedy}"


def run(call: Call) -> int:
    """Print the help that was asked for."""
    words = call.values.arguments
    if not words:
        call.out.print(COMMAND.help())
        return 0
    explained = _code(words[0])
    if explained is not None:
        call.out.print(explained)
        return 0
    if words[0].lower() not in VERBS:
        raise AgentError(23, f"Unknown command '{words[0]}'.", "See azcmagent help.")
    call.out.print(load(words[0].lower()).help())
    return 0


COMMAND = Command(
    name="help",
    summary="The Azure Connected Machine agent of a Landbridge cloud",
    synopsis=(
        "azcmagent connects this machine to a cloud, shows its state and sets what the cloud may do here.\n"
        f"\nCommands:\n{overview()}\n\n"
        "Use 'azcmagent help COMMAND' for more about a command, 'azcmagent help AZCM0026' for a code."
    ),
    flags=(),
    run=run,
    syntax="azcmagent [command] [flags]",
)
