"""``azcmagent extension``: what is installed here, from the folders on disk; needs no cloud."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.run import require_root
from landbridge_agent.codes import AgentError

MANIFEST = "HandlerManifest.json"


class Installed(NamedTuple):
    """An extension on disk, from the name of its folder: ``Publisher.Type-version``."""

    publisher: str
    type: str
    version: str
    folder: Path

    @property
    def names(self) -> tuple[str, str]:
        """What it is called by, in lower case."""
        return self.type.lower(), f"{self.publisher}.{self.type}".lower()


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
    found = installed(call.paths.extensions)
    return _list(call, found) if action == "list" else _remove(call, found)


def _list(call: Call, found: list[Installed]) -> int:
    if call.out.json:
        rows = [{"publisher": one.publisher, "type": one.type, "version": one.version} for one in found]
        call.out.object({"extensions": rows})
    elif not found:
        call.out.print("No extensions are installed.")
    else:
        lines = [("PUBLISHER", "TYPE", "VERSION"), *(one[:3] for one in found)]
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        for line in lines:
            call.out.print("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip())
    return 0


def _remove(call: Call, found: list[Installed]) -> int:
    name, everything = call.values.text("name"), call.values.on("all")
    if bool(name) == everything:
        raise AgentError(16, "Say which: --name NAME or --all.")
    chosen = [one for one in found if everything or name.lower() in one.names]
    if name and not chosen:
        raise AgentError(72, f"No extension '{name}' is installed here.")
    if chosen:
        where = chosen[0].folder
        raise AgentError(3, f"This agent runs no handlers of extensions yet; it did not make {where}.")
    if call.out.json:
        call.out.object({"removed": []})
    else:
        call.out.print("No extensions are installed.")
    return 0


COMMAND = Command(
    name="extension",
    summary="Lists and removes the extensions of this machine",
    synopsis="""
Lists and removes extensions on this machine alone, also without its cloud. An extension that the
cloud still wants is installed again: delete it there to be rid of it.

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
