"""Install, enable and disable one handler, and wait for what it says.

A number is used once: it is on the disk before the handler is called with it, so that a kill in the
middle never makes a handler meet other settings under a number that it knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from landbridge_agent.extensions import commands, views
from landbridge_agent.extensions.context import Context
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import (
    ENABLED,
    ERROR,
    INSTALLED,
    NOT_INSTALLED,
    HandlerFolder,
    HandlerStatus,
    stem,
)
from landbridge_agent.extensions.manifest import DISABLE, ENABLE, INSTALL, UNINSTALL, read_manifest
from landbridge_agent.extensions.records import Record
from landbridge_agent.work import tree

LOOK_SECONDS = 0.5
SLOW = 6
"""How many times longer the first word is waited for while something that the handler started runs."""


class Settings(NamedTuple):
    """What a resource gives its handler."""

    public: Mapping[str, Any]
    protected: Mapping[str, Any]


def variables(record: Record, several: bool) -> dict[str, str]:
    """Return the variables that tell a handler which settings are meant."""
    found = {"ConfigSequenceNumber": str(max(record.sequence, 0))}
    return {**found, "ConfigExtensionName": record.name} if several else found


def install(context: Context, record: Record, folder: HandlerFolder) -> None:
    """Install a handler unless it is; a second try after a kill runs its command again.

    Raises:
        ExtensionFailed: its command failed.
    """
    if folder.state != NOT_INSTALLED:
        return
    context.task.observe(views.going_on(record, "Installing.", context.now))
    several = read_manifest(folder.path).several
    commands.run(context.task, folder, INSTALL, variables(record, several))
    folder.become(INSTALLED)
    context.say(record, INSTALL, f"{folder.handler.version} was installed")


def enable(
    context: Context, record: Record, folder: HandlerFolder, settings: Settings
) -> HandlerStatus | None:
    """Give a handler the settings of a resource under a new number, enable it, return what it says.

    Raises:
        ExtensionFailed: it failed, or said that it did.
    """
    several = read_manifest(folder.path).several
    record.sequence = max(record.sequence, folder.last_sequence(record.name if several else "")) + 1
    context.records.save(record)
    named = stem(record.name, record.sequence, several)
    folder.prepare()
    folder.drop_settings(record.name if several else "")
    folder.give(named, settings.public, settings.protected, context.certificate)
    return enable_again(context, record, folder)


def enable_again(context: Context, record: Record, folder: HandlerFolder) -> HandlerStatus | None:
    """Enable a handler with the settings that lie there; by their number it knows whether they are new.

    Raises:
        ExtensionFailed: it failed, or said that it did.
    """
    several = read_manifest(folder.path).several
    number = max(folder.last_sequence(record.name if several else ""), 0)
    named = stem(record.name, number, several)
    given = variables(replace(record, sequence=number), several)
    began = time.monotonic()
    context.task.observe(views.going_on(record, "Enabling.", context.now))

    def look() -> None:
        said = folder.status(named)
        if said is not None and not said.is_final:
            context.task.observe(views.going_on(record, said.message, context.now))

    try:
        commands.run(context.task, folder, ENABLE, given, tick=look)
    except ExtensionFailed as error:
        _end_leftovers(context)
        said = folder.status(named)
        if said is not None and said.status == ERROR and said.message:
            raise ExtensionFailed(f"{error.message.partition(' It said: ')[0]} {said.message}") from error
        raise
    said = _wait(context, record, folder, named, began)
    folder.become(ENABLED)
    if said is not None and said.status == ERROR:
        _end_leftovers(context)
        raise ExtensionFailed(f"Extension reported an error with code {said.code}: {said.message}")
    return said


def _wait(
    context: Context, record: Record, folder: HandlerFolder, named: str, began: float
) -> HandlerStatus | None:
    """Return the last word of a handler that has ended well; None when it says nothing."""
    until = began + commands.SECONDS[ENABLE]
    ended = alone = time.monotonic()
    while True:
        said, now = folder.status(named), time.monotonic()
        if said is not None and said.is_final:
            return said
        if context.task.is_canceled:
            _end_leftovers(context)
            raise ExtensionFailed("Extension was canceled during Enable.")
        if tree.find(context.task.item.id, below=os.getpid()):
            alone = now
        if said is None and now - ended > context.first_status_seconds * (SLOW if alone == now else 1):
            return None
        if now > until or (said is not None and now - alone > context.idle_seconds):
            _end_leftovers(context)
            raise ExtensionFailed("Extension timed out for Enable: it says 'transitioning' and no more.")
        if said is not None:
            context.task.observe(views.going_on(record, said.message, context.now))
        context.pause(LOOK_SECONDS)


def disable(context: Context, record: Record, folder: HandlerFolder) -> None:
    """Disable a handler if it is enabled.

    Raises:
        ExtensionFailed: its command failed.
    """
    if folder.state != ENABLED:
        return
    several = read_manifest(folder.path).several
    commands.run(context.task, folder, DISABLE, variables(record, several))
    folder.become(INSTALLED)


def uninstall(context: Context, record: Record, folder: HandlerFolder) -> None:
    """Uninstall a handler if it is installed.

    Raises:
        ExtensionFailed: its command failed.
    """
    if folder.state == NOT_INSTALLED:
        return
    several = read_manifest(folder.path).several
    commands.run(context.task, folder, UNINSTALL, variables(record, several))
    folder.become(NOT_INSTALLED)


def _end_leftovers(context: Context) -> None:
    """End what a failed handler has left running."""
    tree.kill(context.task.item.id, below=os.getpid(), spare=frozenset({os.getpid()}))
    tree.reap(frozenset({os.getpid()}))
