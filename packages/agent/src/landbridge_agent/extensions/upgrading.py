"""Put one version of a handler in the place of another, and the old one back when that fails.

The record says ``upgrading_from`` from before the first command until the new version is enabled; the
old folder goes after that. So whatever is killed in between, the next operation finds both folders and
takes the upgrade back. Settings and numbers move along: a handler that was enabled with a number
does not run the same again because it was upgraded.
"""

from __future__ import annotations

import shutil

from landbridge_agent.extensions import commands, enabling, files
from landbridge_agent.extensions.context import Context
from landbridge_agent.extensions.enabling import Settings
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import ENABLED, INSTALLED, HandlerFolder, HandlerStatus
from landbridge_agent.extensions.manifest import DISABLE, UPDATE, read_manifest
from landbridge_agent.extensions.records import Record

MOVED = ("config/*.settings", "status/*.status", "mrseq", "*.mrseq")
"""What a new version takes over from the old one's folder."""


def upgrade(
    context: Context, record: Record, new: HandlerFolder, settings: Settings | None
) -> HandlerStatus | None:
    """Have ``new``, which is unpacked, in the place of the record's version; return what it says.

    ``settings`` are new ones; None: it goes on with those that it has, and runs nothing again.

    Raises:
        ExtensionFailed: it failed; the text says whether the old version is back.
    """
    old = context.folder(record.handler)
    record.upgrading_from, record.version = old.handler.version, new.handler.version
    context.records.save(record)
    try:
        said = _exchange(context, record, old, new, settings)
    except (ExtensionFailed, OSError) as error:
        why = error.message if isinstance(error, ExtensionFailed) else str(error.strerror or error)
        back = roll_back(context, record)
        raise ExtensionFailed(
            f"The upgrade of {old.handler.full_name} from {old.handler.version} to {new.handler.version} "
            f"failed: {why} {back}"
        ) from error
    _settle(context, record, old)
    return said


def _exchange(
    context: Context, record: Record, old: HandlerFolder, new: HandlerFolder, settings: Settings | None
) -> HandlerStatus | None:
    manifest = read_manifest(new.path)
    others = context.records.sharing(record, new.handler)
    if old.state == ENABLED:
        for other in others:
            commands.run(context.task, old, DISABLE, enabling.variables(other, manifest.several))
    enabling.disable(context, record, old)
    new.prepare()
    _move(old, new)
    variables = {
        **enabling.variables(record, manifest.several),
        "VERSION": new.handler.version,
        "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": old.handler.version,
    }
    commands.run(context.task, new, UPDATE, variables)
    enabling.uninstall(context, record, old)
    if manifest.update_installs:
        enabling.install(context, record, new)
    else:
        new.become(INSTALLED)
    for other in others:
        enabling.enable_again(context, other, new)
    if settings is None:
        return enabling.enable_again(context, record, new)
    return enabling.enable(context, record, new, settings)


def _move(old: HandlerFolder, new: HandlerFolder) -> None:
    for pattern in MOVED:
        for path in old.path.glob(pattern):
            target = new.path / path.relative_to(old.path)
            if not path.is_symlink() and path.is_file():
                files.write(target, path.read_bytes())


def _settle(context: Context, record: Record, old: HandlerFolder) -> None:
    """The new version is good: from here on a kill leaves only a folder to be removed."""
    for other in context.records.sharing(record, record.handler):
        other.version = record.version
        context.say(other, UPDATE, f"{old.handler.version} became {record.version}")
    record.upgrading_from = ""
    context.say(record, UPDATE, f"{old.handler.version} became {record.version}")
    files.remove_folder(old.path)


def recover(context: Context, record: Record) -> None:
    """Take back an upgrade that was killed, and remove folders of versions that nobody uses.

    Only what belongs to the record's handler is looked at.
    """
    if not record.is_here:
        return
    if record.upgrading_from:
        new = record.version
        context.say(record, UPDATE, f"the upgrade to {new} was interrupted. {roll_back(context, record)}")
    every = [record, *context.records.sharing(record, record.handler)]
    for other in every[1:]:
        if other.upgrading_from:
            roll_back(context, other)
    used = {one.handler.folder for one in every} | {
        one.handler._replace(version=one.upgrading_from).folder for one in every if one.upgrading_from
    }
    prefix = f"{record.handler.full_name}-"
    for path in sorted(context.task.paths.extensions.glob(f"{prefix}*")):
        version = path.name.removeprefix(prefix)
        if path.is_dir() and path.name not in used and version.replace(".", "").isdigit():
            files.remove_folder(path)


def roll_back(context: Context, record: Record) -> str:
    """Have the version that was good before an upgrade again, and say in a sentence how that went."""
    new = context.folder(record.handler)
    old = context.folder(record.handler._replace(version=record.upgrading_from))
    if not old.exists:  # it goes last, so the new version had taken its place
        record.upgrading_from = ""
        context.records.save(record)
        return f"Version {record.version} had taken its place already."
    _undo(context, record, new)
    record.version = old.handler.version
    try:
        enabling.install(context, record, old)
        several = read_manifest(old.path).several
        for one in [*context.records.sharing(record, old.handler), record]:
            if old.last_sequence(one.name if several else "") >= 0:
                enabling.enable_again(context, one, old)
        back = f"Version {old.handler.version} is back."
    except (ExtensionFailed, OSError) as error:
        back = f"Version {old.handler.version} could not be brought back: {error}"
    record.upgrading_from = ""
    context.say(record, UPDATE, f"taken back. {back}")
    return back


def _undo(context: Context, record: Record, new: HandlerFolder) -> None:
    """Remove what there is of the new version; it may be at any step, so its complaints do not count."""
    if not new.exists:
        return
    for step in (enabling.disable, enabling.uninstall):
        try:
            step(context, record, new)
        except (ExtensionFailed, OSError):
            continue
    shutil.rmtree(new.path, ignore_errors=True)
