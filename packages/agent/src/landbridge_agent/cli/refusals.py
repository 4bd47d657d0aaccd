"""Refusals that several commands have in common."""

from __future__ import annotations

from landbridge_agent.cli.flags import Values
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import AgentConfig


def no_arguments(values: Values) -> None:
    """Refuse words that belong to no flag.

    Raises:
        AgentError: AZCM0023.
    """
    if values.arguments:
        raise AgentError(23, f"Unexpected argument '{values.arguments[0]}'.")


def another_resource(values: Values, config: AgentConfig) -> None:
    """Refuse flags that name another resource than the one that this machine is.

    Raises:
        AgentError: AZCM0023.
    """
    for flag, is_now in (
        ("subscription-id", config.subscriptionId),
        ("resource-group", config.resourceGroup),
        ("resource-name", config.resourceName),
        ("location", config.location),
    ):
        given = values.text(flag)
        if given and given.replace(" ", "").lower() != is_now.lower():
            raise AgentError(
                23,
                f"--{flag} is '{given}', but this machine is connected as {config.resourceId}.",
                "Leave the flag out.",
            )
