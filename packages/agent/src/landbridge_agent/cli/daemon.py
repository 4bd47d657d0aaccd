"""Telling ``himdsd`` that a file has changed."""

from __future__ import annotations

from landbridge_agent.cli.command import Call
from landbridge_agent.local_socket import RELOAD, NotAnswering, ask


def tell(call: Call) -> bool:
    """Wake himdsd; say whether it listens. Without it, it reads the files at its start."""
    try:
        ask(call.paths.socket, RELOAD)
    except NotAnswering as error:
        call.out.debug(str(error))
        return False
    return True
