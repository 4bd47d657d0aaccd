"""Make the machine have nothing of an extension any more.

The handler is disabled and uninstalled by its own commands, then its folder goes. A handler whose
uninstall command fails stays, and the error says why; asked again, its folder goes without it.
Removal is allowed whatever the local configuration says.
"""

from __future__ import annotations

from landbridge_agent.extensions import commands, enabling, files, upgrading
from landbridge_agent.extensions.context import Context
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import HandlerFolder
from landbridge_agent.extensions.manifest import DISABLE, UNINSTALL, read_manifest
from landbridge_agent.extensions.records import GONE, WORKING, Record

REFUSING = "RemovalFailed"
"""The state of a record whose handler would not be uninstalled; the next removal goes on without it."""


def remove(context: Context, record: Record) -> str:
    """Do it, and say what was done; nothing to do is well.

    Raises:
        ExtensionFailed: the handler's own command failed, for the first time.
    """
    if not record.is_here:
        return "Nothing of it is on this machine."
    forced = record.state == REFUSING
    upgrading.recover(context, record)
    record.state, record.digest = WORKING, ""
    context.records.save(record)
    folder = context.folder(record.handler)
    others = context.records.sharing(record, record.handler)
    try:
        outcome = _remove(context, record, folder, shared=bool(others), forced=forced)
    except ExtensionFailed as error:
        record.state = REFUSING
        context.say(record, UNINSTALL, f"failed: {error.message}")
        raise ExtensionFailed(
            f"{error.message} Delete it again to remove it without that command."
        ) from error
    record.state = GONE
    context.say(record, UNINSTALL, outcome)
    context.records.forget_oldest()
    return outcome


def _remove(context: Context, record: Record, folder: HandlerFolder, *, shared: bool, forced: bool) -> str:
    if not folder.exists:
        return "Its folder was gone already."
    if shared:
        _disable_one(context, record, folder, forced=forced)
        folder.drop_settings(record.name)
        return f"{record.name} was disabled; others use {folder.handler.folder}."
    told = f"{folder.handler.folder} was uninstalled."
    for step in (enabling.disable, enabling.uninstall):
        try:
            step(context, record, folder)
        except ExtensionFailed as error:
            if not forced:
                raise
            told = f"{folder.handler.folder} was removed although its command failed: {error.message}"
    files.remove_folder(folder.path)
    return told


def _disable_one(context: Context, record: Record, folder: HandlerFolder, *, forced: bool) -> None:
    several = read_manifest(folder.path).several
    try:
        commands.run(context.task, folder, DISABLE, enabling.variables(record, several))
    except ExtensionFailed:
        if not forced:
            raise
