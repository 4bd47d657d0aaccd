"""What tells computers apart: a hash of the machine-id, which a copy of the whole disk shares.

The machine-id itself is not told to anybody (machine-id(5)). Addresses and serial numbers are left
out: they change when a machine is moved or repaired, and only root can read some of them.
"""

from __future__ import annotations

import hashlib

from landbridge_agent.paths import Paths

PLACES = ("etc/machine-id", "var/lib/dbus/machine-id")
_PURPOSE = b"landbridge agent\0"


def read(paths: Paths) -> str:
    """Return the fingerprint (hex) of this computer; empty where it has no machine-id.

    An agent with a folder of its own may have a machine-id there.
    """
    roots = (paths.root, paths.root.__class__("/")) if paths.relocated else (paths.root,)
    for root in roots:
        for place in PLACES:
            try:
                text = (root / place).read_bytes()[:256].strip()
            except OSError:
                continue
            if text:
                return hashlib.sha256(_PURPOSE + text).hexdigest()
    return ""
