"""The page and the scripts that have an ``az`` trust this cloud, as text.

All three scripts run one program in az's own Python. Only that for Linux is run by our tests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from jinja2 import Environment

from landbridge_server.ca import trust_entry
from landbridge_server.config import Config

SCRIPTS = {"linux.sh": "Linux", "macos.sh": "macOS", "windows.ps1": "Windows"}
"""File name -> system."""


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint as people compare it: upper-case pairs with colons."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


class TrustScripts:
    """Made once for some roots: made anew when those change."""

    def __init__(self, templates: Environment, config: Config, roots: Sequence[x509.Certificate]) -> None:
        """Render everything; ``templates`` escapes HTML only."""
        values = {
            "url": config.endpoints.resource_manager,
            "admin_url": config.endpoints.admin_resource_manager,
            "fingerprints": [fingerprint(one) for one in roots],
            "needs_setting": config.identity_provider == "aad",
        }
        self.page = templates.get_template("trust.html").render(values)
        entries = json.dumps([trust_entry.entry(one).decode() for one in roots])
        program = templates.get_template("trust.py.txt").render(values | {"entries": entries}).rstrip()
        self.scripts = {
            name: templates.get_template("trust.ps1.txt" if name.endswith("ps1") else "trust.sh.txt").render(
                program=program, system=system
            )
            for name, system in SCRIPTS.items()
        }
