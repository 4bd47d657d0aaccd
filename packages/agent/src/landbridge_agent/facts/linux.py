"""All sources of facts on Linux, read."""

from __future__ import annotations

import platform
import socket
from collections.abc import Sequence

from landbridge_agent.facts import disks, network, os_release, processors, ssh_host_keys, surroundings
from landbridge_agent.facts.dmi import Dmi
from landbridge_agent.facts.report import Sources


def gather(hardware: Dmi, ports: Sequence[int]) -> Sources:
    """Read every source; the host keys of these ports, which runs a program for each."""
    uname = platform.uname()
    return Sources(
        os_release=os_release.read(),
        kernel=uname.release,
        architecture=uname.machine,
        fqdn=_fqdn(),
        dmi=hardware,
        processors=processors.read(),
        memory=processors.read_memory(),
        interfaces=network.read(),
        disks=disks.read(),
        databases=surroundings.databases(),
        host_keys=ssh_host_keys.read(ports),
    )


def _fqdn() -> str:
    """The name that the resolver gives this host, unless it only says that it is this host."""
    name = socket.getfqdn()
    return socket.gethostname() if name.partition(".")[0] == "localhost" else name
