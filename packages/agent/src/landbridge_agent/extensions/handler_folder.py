"""The folder of one installed handler: what the agent writes for it, and what it says there.

The layout is that of contract agent, 4.2: ``HandlerEnvironment.json``, ``config/<n>.settings``,
``status/<n>.status``, ``mrseq``; for a handler that serves several resources, with the resource's name
before the number. Protected settings are only written as CMS for this machine's certificate.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from landbridge_agent.extensions import cms, files
from landbridge_agent.extensions.machine_key import MachineCertificate
from landbridge_agent.extensions.names import Handler
from landbridge_agent.paths import Paths

NOT_INSTALLED, INSTALLED, ENABLED = "NotInstalled", "Installed", "Enabled"
TRANSITIONING, SUCCESS, ERROR, SKIPPED = "transitioning", "success", "error", "skipped"
STATUSES = (TRANSITIONING, SUCCESS, ERROR, SKIPPED)
MAX_MESSAGE = 16 * 1024


class HandlerStatus(NamedTuple):
    """What a handler says in its status file: one of STATUSES, a number, a text, its own operation."""

    status: str
    code: int
    message: str
    operation: str
    name: str

    @property
    def is_final(self) -> bool:
        """Whether the handler has nothing more to say."""
        return self.status != TRANSITIONING


class HandlerFolder:
    """The folder of ``handler``; ``several``: its files are named after resources, too."""

    def __init__(self, paths: Paths, handler: Handler) -> None:
        self.handler = handler
        self.path = paths.extensions / handler.folder
        self.logs = paths.guest_configuration / "extension_logs" / handler.full_name

    @property
    def exists(self) -> bool:
        """Whether the handler was unpacked whole."""
        return self.path.is_dir()

    # -- how far it is -----------------------------------------------------------------------

    @property
    def state(self) -> str:
        """How far the handler is; a kill in an operation leaves what was true before it."""
        try:
            text = (self.path / "config/HandlerState").read_text("ascii").strip()
        except (OSError, ValueError):
            return NOT_INSTALLED
        return text if text in (INSTALLED, ENABLED) else NOT_INSTALLED

    def become(self, state: str) -> None:
        """Note how far the handler is now.

        Raises:
            OSError: it cannot be written.
        """
        files.write(self.path / "config/HandlerState", state.encode())

    # -- what it is given ----------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the folders that a handler finds, and tell it where they are.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self.path / "config", self.path / "status", self.logs, self.logs / "events"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {
            "logFolder": str(self.logs),
            "configFolder": str(self.path / "config"),
            "statusFolder": str(self.path / "status"),
            "heartbeatFile": str(self.path / "heartbeat.log"),
            "eventsFolder": str(self.logs / "events"),
            "deploymentid": "",
            "rolename": "",
            "instance": "",
        }
        value = [{"name": self.handler.full_name, "version": 1.0, "handlerEnvironment": environment}]
        files.write_json(self.path / "HandlerEnvironment.json", value)

    def give(
        self,
        stem: str,
        public: Mapping[str, Any],
        protected: Mapping[str, Any],
        certificate: Callable[[], MachineCertificate],
    ) -> None:
        """Write the settings under ``stem``; the certificate is asked for where there are secrets.

        Raises:
            OSError: they cannot be written.
        """
        settings: dict[str, Any] = {"publicSettings": dict(public)}
        if protected:
            own = certificate()
            sealed = cms.seal(json.dumps(protected).encode(), own.certificate)
            settings["protectedSettings"] = base64.b64encode(sealed).decode()
            settings["protectedSettingsCertThumbprint"] = own.thumbprint
        value = {"runtimeSettings": [{"handlerSettings": settings}]}
        files.write_json(self.path / f"config/{stem}.settings", value)

    def last_sequence(self, resource: str) -> int:
        """Return the highest number that settings of a resource (empty: any) ever had here; -1: none."""
        before = f"{resource}." if resource else ""
        found = [-1]
        for path in (self.path / "config").glob("*.settings"):
            number = path.name.removesuffix(".settings").removeprefix(before)
            if path.name.startswith(before) and number.isdigit() and number.isascii():
                found.append(int(number))
        return max(found)

    def drop_settings(self, resource: str) -> None:
        """Remove the settings and status files of one resource (empty: all)."""
        for folder, suffix in (("config", ".settings"), ("status", ".status")):
            for path in (self.path / folder).glob(f"*{suffix}"):
                owner, _, _number = path.name.removesuffix(suffix).rpartition(".")
                if not resource or owner.lower() == resource.lower():
                    path.unlink(missing_ok=True)

    # -- what it says ------------------------------------------------------------------------------

    def status(self, stem: str) -> HandlerStatus | None:
        """Return what the handler says under ``stem``; None while that is nothing that can be read."""
        value = files.read_json(self.path / f"status/{stem}.status")
        first = value[0] if isinstance(value, list) and value else value
        said = first.get("status") if isinstance(first, dict) else None
        if not isinstance(said, dict) or str(said.get("status")).lower() not in STATUSES:
            return None
        message = said.get("formattedMessage")
        text = message.get("message", "") if isinstance(message, dict) else ""
        code = said.get("code", 0)
        return HandlerStatus(
            str(said["status"]).lower(),
            code if isinstance(code, int) and not isinstance(code, bool) else 0,
            clean(text)[-MAX_MESSAGE:] if isinstance(text, str) else "",
            str(said.get("operation", "")),
            str(said.get("name", "")),
        )

    def forget_status(self, stem: str) -> None:
        """Remove what was said under a number before, so that nothing old is taken for new."""
        (self.path / f"status/{stem}.status").unlink(missing_ok=True)


def stem(resource: str, sequence: int, several: bool) -> str:
    """Return how the names of settings and status files begin."""
    return f"{resource}.{sequence}" if several else str(sequence)


def clean(text: str) -> str:
    """Return a text that JSON and a terminal can carry: no lone surrogates, no control characters."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(one if one >= " " or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)
