"""The group whose members may have the machine's tokens: ``himds``, where the system has one."""

from __future__ import annotations

import grp

GROUP = "himds"


def token_group() -> int | None:
    """Return the group's id; None where there is no such group: then only the agent's user may."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None
