"""How the agent is doing, as ``azcmagent show`` prints it. Pure; the clock is an argument."""

from __future__ import annotations

from landbridge_agent.logline import timestamp

FRESH_SECONDS = 900.0
"""A heartbeat over HTTPS keeps the machine Connected for as long as the control plane says so."""


class Status:
    """What the daemon's parts report."""

    def __init__(self) -> None:
        self.channel_open = False
        self.last_heartbeat: float | None = None
        self.certificate_ends: float | None = None
        self.sessions = 0
        self._error: tuple[str, str, float] | None = None

    def heard(self, now: float) -> None:
        """Note an answered heartbeat: whatever was wrong is over."""
        self.last_heartbeat = now
        self._error = None

    def failed(self, code: str, details: str, now: float) -> None:
        """Note why the machine is not connected."""
        self._error = (code, details, now)

    def name(self, now: float) -> str:
        """Return Connected, Disconnected or Expired."""
        if self.channel_open:
            return "Connected"
        if self.certificate_ends is not None and now > self.certificate_ends:
            return "Expired"
        fresh = self.last_heartbeat is not None and now - self.last_heartbeat < FRESH_SECONDS
        return "Connected" if fresh and self._error is None else "Disconnected"

    def to_json(self, now: float) -> dict[str, object]:
        """Return the members that the local socket answers with."""
        code, details, at = self._error or ("", "", None)
        return {
            "status": self.name(now),
            "lastHeartbeat": timestamp(self.last_heartbeat) if self.last_heartbeat is not None else "",
            "errorCode": code,
            "errorDetails": details,
            "errorTimestamp": timestamp(at) if at is not None else "",
            "sessions": self.sessions,
        }
