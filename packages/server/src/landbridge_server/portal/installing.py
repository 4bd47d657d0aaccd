"""The script that machines install the agent with.

It knows this cloud's address and root, and the digest of the package that it downloads, so that
whoever trusts the script trusts what it installs.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment

from landbridge_server.config import Config
from landbridge_server.portal.downloads import Downloads

SCRIPT = "install_linux_azcmagent.sh"


def listing(downloads: Downloads, url: str) -> dict[str, Any]:
    """Return what ``azcmagent upgrade`` reads: the version, and each package with its digest."""
    rows = [
        {"name": one.name, "sha256": one.sha256, "size": len(one.content), "url": f"{url}/agent/{one.name}"}
        for one in downloads.agents
    ]
    return {"version": downloads.deb.version if downloads.deb else "", "packages": rows}


def script(templates: Environment, config: Config, root_pem: str, downloads: Downloads) -> str | None:
    """Return the installation script; None where there is no package to install."""
    if downloads.deb is None:
        return None
    text = templates.get_template(f"{SCRIPT}.txt").render(
        url=config.endpoints.resource_manager,
        root="" if config.tls_cert else root_pem.strip(),
        package=downloads.deb,
    )
    return text + "\n"
