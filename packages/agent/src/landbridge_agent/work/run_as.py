"""Whose rights a program of the cloud runs with: an account of this machine, without its password.

Root becomes the account in the child itself (``setgid``, ``initgroups``, ``setuid``), so that no
password is needed, written or passed on. Who is not root can be nobody but itself.
"""

from __future__ import annotations

import os
import pwd
from typing import NamedTuple


class NoSuchAccount(Exception):
    """The account is unknown, or this agent may not become it; the text says which."""


class Account(NamedTuple):
    """An account, with every group that it is in."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @property
    def environment(self) -> dict[str, str]:
        """What programs expect of their surroundings about whom they run as."""
        return {"USER": self.name, "LOGNAME": self.name, "HOME": self.home, "SHELL": self.shell}

    @property
    def is_ours(self) -> bool:
        """Whether this process runs as the account already."""
        return self.uid == os.geteuid()


def account(name: str) -> Account:
    """Return an account of this machine by its name.

    Raises:
        NoSuchAccount: there is none, or this agent is not root and it is another one's.
    """
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise NoSuchAccount(f"There is no user '{name[:256]}' on this machine.") from None
    own = os.geteuid()
    if own not in (0, found.pw_uid):
        raise NoSuchAccount(
            f"This agent does not run as root, so it cannot run anything as '{name[:256]}': "
            "leave runAsUser out, or install the agent for the whole machine."
        )
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    return Account(
        found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir or "/", found.pw_shell or "/bin/sh"
    )


def become(wanted: Account) -> None:
    """Give up this process's rights for those of an account, for good. For the child, before it runs.

    Raises:
        OSError: the kernel refuses.
    """
    if wanted.is_ours and os.getuid() == wanted.uid:
        return
    os.setgroups(wanted.groups)
    os.setresgid(wanted.gid, wanted.gid, wanted.gid)
    os.setresuid(wanted.uid, wanted.uid, wanted.uid)
