"""What tells computers apart: a hash of the machine-id, which a copy of the whole disk shares.

The machine-id itself is not told to anybody (machine-id(5)). Addresses and serial numbers are left
out: they change when a machine is moved or repaired, and only root can read some of them.
"""

from __future__ import annotations

import hashlib

from landbridge_agent.paths import Paths
from landbridge_agent.platform import here

_PURPOSE = b"landbridge agent\0"


def read(paths: Paths) -> str:
    """Return the fingerprint (hex) of this computer; empty where it has no machine-id.

    An agent with a folder of its own may have a machine-id there.
    """
    text = here().machine_id(paths)
    return hashlib.sha256(_PURPOSE + text).hexdigest() if text else ""
