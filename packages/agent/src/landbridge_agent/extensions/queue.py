"""Carry out one item of work about extensions: apply, remove, upgrade. One at a time on a machine.

This runs in a worker process. What the local configuration forbids is refused with the rule named;
removal is always allowed. Whatever fails becomes an error in the item's outcome: nothing is raised.
"""

from __future__ import annotations

from typing import Any

from landbridge_agent import local_policy
from landbridge_agent.extensions import applying, removing, upgrading, views, wishes
from landbridge_agent.extensions.cloud_source import CloudSource
from landbridge_agent.extensions.context import Busy, Context
from landbridge_agent.extensions.errors import HCRP400, ExtensionFailed
from landbridge_agent.extensions.names import Handler, fits, handler
from landbridge_agent.extensions.records import FAILED, SUCCEEDED, WORKING, Record
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.work.task import Outcome, Task
from landbridge_wire.work_api import APPLY, REMOVE, UPGRADE

TURN_SECONDS = 2 * 3600.0
"""How long another operation on this machine's extensions is waited for."""

DENIED = "ExtensionDenied"
"""The code of what this machine's own configuration forbids."""


def carry_out(task: Task) -> Outcome:
    """Carry out an item of the types extension and machine."""
    return carry_out_with(Context(task, CloudSource(task)))


def carry_out_with(context: Context, seconds: float = TURN_SECONDS) -> Outcome:
    """Carry out a context's item, waiting at most ``seconds`` for its turn."""
    task = context.task
    doing = {APPLY: _apply, REMOVE: _remove, UPGRADE: _upgrade}.get(task.item.kind)
    if doing is None:
        return Outcome({}, HCRP400, f"This agent cannot do '{task.item.kind}' about extensions.")
    try:
        with context.turn(seconds):
            return doing(context)
    except (ExtensionFailed, Busy) as error:
        return Outcome({}, HCRP400, str(error))
    except OSError as error:
        return Outcome({}, HCRP400, _disk(error))


def _disk(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"The operation could not be carried out on this machine: {error.strerror or error}{where}."


def _apply(context: Context) -> Outcome:
    item = context.task.item
    record = context.records.get(item.name)
    try:
        wish = wishes.read(item)
        _allow(context, wish.handler)
        message = applying.apply(context, record, wish)
    except (ExtensionFailed, OSError) as error:
        code, message = _told(error)
        context.say(record, APPLY, f"failed: {message}")
        return Outcome(views.failed(_shown(context, record), message, context.now), code, message)
    return Outcome(views.succeeded(record, message, context.now))


def _told(error: ExtensionFailed | OSError) -> tuple[str, str]:
    return (error.code, error.message) if isinstance(error, ExtensionFailed) else (HCRP400, _disk(error))


def _shown(context: Context, record: Record) -> Record:
    """Return what a view is made of: the record, or while nothing is here what was asked for."""
    if record.is_here:
        return record
    asked = context.task.item.properties
    names = (asked.get(name) for name in ("publisher", "type", "typeHandlerVersion"))
    publisher, kind, version = (one[:256] if isinstance(one, str) else "" for one in names)
    return Record(record.name, publisher, kind, version)


def _allow(context: Context, wanted: Handler) -> None:
    """Check with the local configuration.

    Raises:
        ExtensionFailed: it forbids the extension, or cannot be read.
    """
    try:
        verdict = local_policy.extension(context.task.settings, wanted.publisher, wanted.type)
    except InvalidSetting as error:
        raise ExtensionFailed(
            f"The local configuration of this machine is damaged: {error}", DENIED
        ) from error
    if not verdict.allowed:
        raise ExtensionFailed(
            f"The local configuration of this machine forbids it: {verdict.rule}. "
            "Whoever administers the machine decides this with 'azcmagent config'.",
            DENIED,
        )


def _remove(context: Context) -> Outcome:
    record = context.records.get(context.task.item.name)
    try:
        removing.remove(context, record)
    except (ExtensionFailed, OSError) as error:
        code, message = _told(error)
        return Outcome(views.failed(record, message, context.now), code, message)
    return Outcome({})


def _upgrade(context: Context) -> Outcome:
    """Upgrade what ``extensionTargets`` names as Publisher.Type; each has a result of its own."""
    targets = context.task.item.content.get("extensionTargets")
    results: dict[str, Any] = {}
    failures = []
    for name, target in (targets if isinstance(targets, dict) else {}).items():
        asked = target.get("targetVersion") if isinstance(target, dict) else ""
        try:
            version, message = _upgrade_one(context, str(name), asked or "")
            results[name] = {"status": SUCCEEDED, "version": version, "message": message}
        except (ExtensionFailed, OSError) as error:
            results[name] = {"status": FAILED, "message": _told(error)[1]}
            failures.append(f"{name}: {_told(error)[1]}")
    seen = {"extensionTargets": results}
    return Outcome(seen, HCRP400, " ".join(failures)) if failures else Outcome(seen)


def _upgrade_one(context: Context, name: str, asked: str) -> tuple[str, str]:
    found = [
        one
        for one in context.records.every()
        if one.is_here and one.handler.full_name.lower() == name.lower()
    ]
    if not found:
        raise ExtensionFailed(f"ExtensionNotFound: no extension '{name[:200]}' is on this machine.")
    record = found[0]
    wanted = handler(record.publisher, record.type, asked)
    _allow(context, wanted)
    upgrading.recover(context, record)
    here = context.folder(record.handler)
    good = here.exists and fits(record.version, asked)
    choice = context.choose(wanted, "", record.handler if good else None)
    if choice.handler == record.handler:
        return record.version, f"{record.version} is what was asked for."
    if not here.exists:
        raise ExtensionFailed(f"{record.handler.folder} is not whole on this machine: install it again.")
    old, state = record.version, record.state
    record.state = WORKING
    try:
        upgrading.upgrade(context, record, context.unpack(choice), None)
        record.state = state
    except (ExtensionFailed, OSError):
        record.state = state if record.version == old else FAILED
        raise
    finally:
        context.records.save(record)
    return record.version, f"{old} became {record.version}."
