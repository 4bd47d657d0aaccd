"""``azcmagent config``: what the machine's administrator allows. Takes effect at once."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.run import record, require_root
from landbridge_agent.codes import AgentError
from landbridge_agent.local_config import (
    PROPERTIES,
    PROXY_URL,
    InvalidSetting,
    Property,
    Value,
    assign,
    check_editable,
    find,
    shown,
    text_of,
    value_of,
)
from landbridge_agent.local_socket import RELOAD, NotAnswering, ask
from landbridge_agent.machine import Machine, StateError

WIDTH = 54
"""The original pads the labels of ``config list`` to this."""


def run(call: Call) -> int:
    """Run one of list, get, set, clear and info."""
    words = call.values.arguments
    action = words[0].lower() if words else ""
    takes = {"list": (0, 0), "info": (0, 1), "get": (1, 1), "clear": (1, 1), "set": (2, 2)}
    if action not in takes:
        detail = "Say one of: config list, get, set, clear, info."
        raise AgentError(23 if action else 16, detail, "See azcmagent help config.")
    least, most = takes[action]
    if len(words) - 1 < least:
        what = "a property" if least == 1 else "a property and a value"
        raise AgentError(16, f"azcmagent config {action} needs {what}.")
    if len(words) - 1 > most:
        raise AgentError(23, f"Unexpected argument '{words[most + 1]}'; put a value with spaces in quotes.")
    if action in ("set", "clear"):
        require_root(call.paths)
        record(f"config {action} {words[1]}", call)
    machine = Machine(call.paths)
    try:
        settings = machine.local_settings()
    except StateError as error:
        raise AgentError(70, str(error)) from error
    try:
        return _ACTIONS[action](call, machine, settings, words[1:])
    except InvalidSetting as error:
        raise AgentError(23, str(error)) from error


def _list(call: Call, machine: Machine, settings: dict[str, object], words: list[str]) -> int:
    values = [(prop, value_of(settings, prop)) for prop in PROPERTIES.values()]
    if call.out.json:
        rows = [{"key": prop.name, "value": shown(value)} for prop, value in values]
        call.out.object({"localsettings": rows})
        return 0
    call.out.print("Local Configuration Settings")
    for prop, value in values:
        call.out.print(f"  {prop.label:<{WIDTH}}: {text_of(value)}")
    return 0


def _get(call: Call, machine: Machine, settings: dict[str, object], words: list[str]) -> int:
    prop = find(words[0])
    value = value_of(settings, prop)
    if call.out.json:
        call.out.object({"key": prop.name, "value": shown(value)})
    else:
        call.out.print(text_of(value))
    return 0


def _info(call: Call, machine: Machine, settings: dict[str, object], words: list[str]) -> int:
    chosen = [find(words[0])] if words else list(PROPERTIES.values())
    if call.out.json:
        rows = [
            {"key": one.name, "type": one.type, "default": one.default, "description": one.meaning}
            for one in chosen
        ]
        call.out.object({"properties": rows})
        return 0
    for one in chosen:
        call.out.print(f"{one.label}\n  {one.meaning}\n  Type: {one.type}\n  Default: {text_of(one.default)}")
    return 0


def _set(call: Call, machine: Machine, settings: dict[str, object], words: list[str]) -> int:
    prop = find(words[0])
    # A password on the command line can be read by everybody for as long as the command runs.
    text = sys.stdin.readline().strip() if prop.name == PROXY_URL and words[1] == "-" else words[1]
    add, remove = call.values.on("add"), call.values.on("remove")
    assign(settings, prop, text, add=add, remove=remove)  # what is refused touches nothing
    with _changing(machine) as current:
        new = assign(current, prop, text, add=add, remove=remove)
        machine.save_local_settings({**current, prop.name: new})
    _done(call, prop, new, f"Config property {prop.name} set to value {_shown(new)}")
    return 0


def _clear(call: Call, machine: Machine, settings: dict[str, object], words: list[str]) -> int:
    prop = find(words[0])
    check_editable(settings, prop)
    with _changing(machine) as current:
        check_editable(current, prop)
        machine.save_local_settings({name: value for name, value in current.items() if name != prop.name})
    _done(
        call,
        prop,
        prop.default,
        f"Config property {prop.name} cleared; its default is {text_of(prop.default)}",
    )
    return 0


def _shown(value: Value) -> str:
    return text_of(value).strip("[]") if value else text_of(value)


@contextlib.contextmanager
def _changing(machine: Machine) -> Iterator[dict[str, object]]:
    try:
        with machine.changing_settings() as settings:
            yield settings
    except StateError as error:
        raise AgentError(69, str(error)) from error


def _done(call: Call, prop: Property, value: Value, text: str) -> None:
    """Report, and wake himdsd; without it the file alone counts, and is read at its start."""
    call.out.record("info", text)
    try:
        ask(call.paths.socket, RELOAD)
        live = True
    except NotAnswering as error:
        call.out.debug(str(error))
        live = False
    if call.out.json:
        call.out.object({"key": prop.name, "value": shown(value), "appliedByService": live})
    else:
        call.out.print(text)


_ACTIONS = {"list": _list, "get": _get, "info": _info, "set": _set, "clear": _clear}

COMMAND = Command(
    name="config",
    summary="Lists and changes the local configuration",
    synopsis="""
Lists and changes what this machine allows. The local configuration always wins over the
cloud, and takes effect without a restart.

  azcmagent config list
  azcmagent config get incomingconnections.ports
  azcmagent config set incomingconnections.ports 22,2222
  azcmagent config set incomingconnections.ports 8022 --add
  azcmagent config set incomingconnections.enabled false
  azcmagent config clear incomingconnections.ports
  azcmagent config info
""",
    flags=(
        Flag("add", "a", "Add to a list", switch=True),
        Flag("remove", "r", "Remove from a list", switch=True),
    ),
    run=run,
    syntax="azcmagent config list|get|set|clear|info [property] [value] [flags]",
)
