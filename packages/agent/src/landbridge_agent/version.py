"""What this agent is called and which version it is."""

from __future__ import annotations

AGENT_VERSION = "1.61.0.1"
"""Four parts, as the original's: clients compare it with 1.31 before they offer SSH."""
