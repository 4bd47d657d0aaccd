"""What a machine installs the agent from: a script, and the packages that it downloads.

The packages are built beside the control plane (``tools/build_agent_packages.py``) and carried in
its wheel. The script knows their digests and this cloud's address and root, so that whoever trusts
the script trusts what it installs.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from landbridge_server.config import Config

FOLDER = Path(__file__).parent / "agent_packages"
SCRIPT = "install_linux_azcmagent.sh"
_NAMES = re.compile(r"(?:azcmagent_(?P<deb>[0-9.]+)_all\.deb|landbridge_agent-[0-9.]+-py3-none-any\.whl)")


class Package(NamedTuple):
    """A file that machines may download; ``version`` is the agent's for a .deb, else empty."""

    name: str
    version: str
    sha256: str
    content: bytes


class AgentPackages:
    """The packages in a folder, read once: they are some hundred kilobytes."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read what is there; nothing, if nothing was built."""
        self.by_name: dict[str, Package] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            found = _NAMES.fullmatch(path.name)
            if found:
                content = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                self.by_name[path.name] = Package(path.name, found["deb"] or "", digest, content)

    @property
    def deb(self) -> Package | None:
        """The Debian package, if there is one."""
        return next((one for one in self.by_name.values() if one.version), None)

    def to_json(self, url: str) -> dict[str, Any]:
        """Return what ``azcmagent upgrade`` reads: the version, and each file with its digest."""
        rows = [
            {
                "name": one.name,
                "sha256": one.sha256,
                "size": len(one.content),
                "url": f"{url}/agent/{one.name}",
            }
            for one in self.by_name.values()
        ]
        return {"version": self.deb.version if self.deb else "", "packages": rows}


def script(templates: Environment, config: Config, root_pem: str, packages: AgentPackages) -> str | None:
    """Return the installation script; None where there is no package to install."""
    deb = packages.deb
    if deb is None:
        return None
    return (
        templates.get_template(f"{SCRIPT}.txt").render(
            url=config.endpoints.resource_manager,
            root="" if config.tls_cert else root_pem.strip(),
            package=deb,
        )
        + "\n"
    )
