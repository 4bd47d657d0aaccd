"""``azcmagent extension``: what is installed here, and its removal; needs no cloud."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.run import require_root
from landbridge_agent.codes import AgentError
from landbridge_agent.extensions.records import Records
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths

MANIFEST = "HandlerManifest.json"
UNKNOWN = "Unknown"
"""The state of what lies there and was not installed by this agent."""


class Installed(NamedTuple):
    """An extension on disk, from the name of its folder: ``Publisher.Type-version``."""

    publisher: str
    type: str
    version: str
    folder: Path


class Extension(NamedTuple):
    """An extension as it is listed. ``name`` is its resource's; empty: this agent did not install it."""

    publisher: str
    type: str
    version: str
    name: str
    state: str
    history: list[dict[str, str]]

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called by, in lower case."""
        return self.name.lower(), self.type.lower(), f"{self.publisher}.{self.type}".lower()

    @property
    def as_json(self) -> dict[str, object]:
        """The extension as ``--json`` prints it."""
        found: dict[str, object] = {"publisher": self.publisher, "type": self.type, "version": self.version}
        return {**found, "name": self.name, "state": self.state, "history": self.history}


def installed(folder: Path) -> list[Installed]:
    """Return the extensions below a folder, by name; folders of another shape are passed over."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, _, version = path.name.rpartition("-")
        publisher, _, kind = name.rpartition(".")
        if path.is_dir() and publisher and kind and version and (path / MANIFEST).is_file():
            found.append(Installed(publisher, kind, version, path))
    return found


def run(call: Call) -> int:
    """Run list or remove."""
    words = call.values.arguments
    action = words[0].lower() if words else ""
    if action not in ("list", "remove"):
        raise AgentError(23 if action else 16, "Say one of: extension list, remove.")
    if len(words) > 1:
        raise AgentError(23, f"Unexpected argument '{words[1]}'; name an extension with --name.")
    require_root(call.paths)
    found = here(call.paths)
    return _list(call, found) if action == "list" else _remove(call, found)


def here(paths: Paths) -> list[Extension]:
    """Return the extensions of this machine: those of the records, then folders that have none."""
    records = Records(paths.extensions)
    known = [
        Extension(one.publisher, one.type, one.version, one.name, one.state, one.history)
        for one in records.every()
        if one.is_here
    ]
    folders = {f"{one.publisher}.{one.type}-{one.version}".lower() for one in known}
    strange = [one for one in installed(paths.extensions) if one.folder.name.lower() not in folders]
    return known + [Extension(one.publisher, one.type, one.version, "", UNKNOWN, []) for one in strange]


def _list(call: Call, found: list[Extension]) -> int:
    if call.out.json:
        call.out.object({"extensions": [one.as_json for one in found]})
        return 0
    if not found:
        call.out.print("No extensions are installed.")
        return 0
    rows = [(one.publisher, one.type, one.version, one.name, one.state) for one in found]
    lines = [("PUBLISHER", "TYPE", "VERSION", "NAME", "STATE"), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        call.out.print("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip())
    if call.out.verbose:
        for one in found:
            for event in one.history:
                words = (event.get(part, "") for part in ("time", "operation", "outcome"))
                call.out.print(f"{one.name}: {' '.join(words)}")
    return 0


def _remove(call: Call, found: list[Extension]) -> int:
    name, everything = call.values.text("name"), call.values.on("all")
    if bool(name) == everything:
        raise AgentError(16, "Say which: --name NAME or --all.")
    chosen = [one for one in found if everything or name.lower() in one.names]
    if name and not chosen:
        raise AgentError(72, f"No extension '{name}' is installed here.")
    strange = [one for one in chosen if one.state == UNKNOWN]
    if name and strange:
        folder = f"{strange[0].publisher}.{strange[0].type}-{strange[0].version}"
        raise AgentError(3, f"This agent did not install {call.paths.extensions / folder}.")
    removed = [one for one in chosen if one not in strange]
    for one in removed:
        told = _removed(call, one)
        if not call.out.json:
            call.out.print(f"Removed {one.name}: {told}")
    if call.out.json:
        call.out.object({"removed": [one.name for one in removed]})
    elif not removed:
        call.out.print("No extensions are installed.")
    return 0


def _removed(call: Call, one: Extension) -> str:
    from landbridge_agent.extensions import local  # loads cryptography, which list does without
    from landbridge_agent.extensions.context import Busy
    from landbridge_agent.extensions.errors import ExtensionFailed

    try:
        settings = Machine(call.paths).local_settings()
    except StateError:
        settings = {}  # removal is allowed whatever the local configuration says
    try:
        return local.removed(call.paths, one.name, settings, call.environment, call.clock)
    except ExtensionFailed as error:
        raise AgentError(72, f"{one.name} was not removed: {error.message}") from error
    except Busy as error:
        raise AgentError(
            72, f"{one.name} was not removed: {error}", "Try again when extd is done."
        ) from error
    except OSError as error:
        raise AgentError(72, f"{one.name} was not removed: {error.strerror or error}.") from error


COMMAND = Command(
    name="extension",
    summary="Lists and removes the extensions of this machine",
    synopsis="""
Lists and removes extensions on this machine alone, also without its cloud. The cloud is not told:
it shows a removed extension until that is deleted there, and a changed one is installed again.
With --verbose, list tells what was done with each, and with --json too.

  azcmagent extension list
  azcmagent extension remove --name AzureMonitorLinuxAgent
  azcmagent extension remove --all
""",
    flags=(
        Flag("name", "n", "The extension to remove"),
        Flag("all", "a", "Remove every extension", switch=True),
    ),
    run=run,
    syntax="azcmagent extension list|remove [flags]",
)
