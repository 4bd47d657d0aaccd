"""The composition root: puts all parts of the control plane together, and serves them.

``ControlPlane`` opens a folder and has no port; ``listening`` opens the ports; ``serve`` is the
whole life of the process.
"""

from __future__ import annotations

from landbridge_server.app.control_plane import ControlPlane
from landbridge_server.app.serving import listening, serve

__all__ = ["ControlPlane", "listening", "serve"]
