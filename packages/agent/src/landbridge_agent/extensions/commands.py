"""Run one command of a handler: its environment, its time, and what a failure is called.

What handlers get: the variables of contract agent, 4.2, the machine's identity service, and the proxy
of the local configuration (``HTTPS_PROXY`` and the like, in both cases, as each program reads another).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from landbridge_agent import local_policy
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import HandlerFolder, clean
from landbridge_agent.extensions.manifest import DISABLE, ENABLE, INSTALL, UNINSTALL, UPDATE, read_manifest
from landbridge_agent.local_config import EXTENSIONS_CPU, InvalidSetting
from landbridge_agent.proxies import proxy_from
from landbridge_agent.work.processes import Ended, Limits
from landbridge_agent.work.task import Task

SECONDS: Mapping[str, float] = {
    INSTALL: 15 * 60,
    UPDATE: 15 * 60,
    ENABLE: 95 * 60,
    DISABLE: 5 * 60,
    UNINSTALL: 5 * 60,
}
"""How long each operation may take. Enable has the 90 minutes of a custom script, and a little."""

NOEXEC_EXIT = 64
"""With this code handlers' shims end where the file system of their folder is mounted noexec."""

OPERATION_CPU = 30
USUAL_CPU = {"azuremonitorlinuxagent": 60, "linuxosupdateextension": 60, "mde.linux": 60}
TAIL = 2048
_MOST_FILE = 8 * 1024**3
_WORDS = {INSTALL: "Install", ENABLE: "Enable", UPDATE: "Update", DISABLE: "Disable", UNINSTALL: "Uninstall"}


def run(
    task: Task,
    folder: HandlerFolder,
    operation: str,
    variables: Mapping[str, str] | None = None,
    seconds: float | None = None,
    tick: Callable[[], None] | None = None,
) -> None:
    """Run a handler's command; what it printed lies in its folder of logs.

    What ``enable`` leaves running goes on: handlers start their services so. All else is ended.
    ``tick`` is called about each second.

    Raises:
        ExtensionFailed: it could not be started, ended with another code than 0, by a signal, too
            late, or was cancelled.
    """
    argv = arguments(folder, read_manifest(folder.path).commands[operation])
    word = _WORDS[operation]
    try:
        folder.prepare()
        ended = task.run(
            argv,
            env=environment(task, folder, variables or {}),
            cwd=folder.path,
            seconds=SECONDS[operation] if seconds is None else seconds,
            stdout=folder.logs / f"{operation}.stdout",
            stderr=folder.logs / f"{operation}.stderr",
            leave_running=operation == ENABLE,
            tick=None if tick is None else lambda _: tick(),
            limits=limits(task, folder),
        )
    except OSError as error:
        raise ExtensionFailed(f"Extension could not be started for {word}: {_why(folder, error)}") from error
    if not ended.ok:
        raise ExtensionFailed(explain(folder, word, ended))


def arguments(folder: HandlerFolder, command: str) -> list[str]:
    """Return a manifest's command as arguments; its program is looked for in the folder first.

    Raises:
        ExtensionFailed: it is no command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ExtensionFailed(f"The manifest's command '{command[:200]}' cannot be read: {error}.") from error
    if not words:
        raise ExtensionFailed("The manifest has an empty command.")
    program = folder.path / words[0].lstrip("/") if not words[0].startswith("/") else Path(words[0])
    if program.is_file():
        if program.resolve().is_relative_to(folder.path.resolve()):
            program.chmod(0o700)  # archives often lose it, and it is the manifest that names the program
        words[0] = str(program)
    return words


def environment(task: Task, folder: HandlerFolder, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a handler, without those that the task gives every program."""
    found = {
        "AZURE_GUEST_AGENT_EXTENSION_PATH": str(folder.path),
        "AZURE_GUEST_AGENT_EXTENSION_VERSION": folder.handler.version,
        "AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES": "[]",
        "VERSION": folder.handler.version,
        "IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token",
        "IMDS_ENDPOINT": "http://localhost:40342",
    }
    return {**found, **_proxies(task), **variables}


def _proxies(task: Task) -> dict[str, str]:
    used = local_policy.proxy(task.settings, proxy_from(task.environment))
    if not used.url:
        return {}
    # Words such as "Arc" mean this cloud, which handlers do not call; programs know only names.
    past = ",".join(dict.fromkeys(["localhost", "127.0.0.1", "::1", *used.bypass]))
    names = {"HTTP_PROXY": used.url, "HTTPS_PROXY": used.url, "NO_PROXY": past}
    return {**names, **{name.lower(): value for name, value in names.items()}}


def limits(task: Task, folder: HandlerFolder) -> Limits:
    """Return the bounds of a handler: CPU as configured, and no file larger than half of what is free.

    Who configures nothing gives operations of extensions 30 % of one processor, and 60 % the agents
    that the contract (agent, 3.10) names; the 5 % that ``azcmagent config`` shows are the idle service's.
    """
    given = task.limits
    half = max(shutil.disk_usage(folder.path).free // 2, 1024 * 1024)
    percent = USUAL_CPU.get(folder.handler.type.lower(), OPERATION_CPU)
    if EXTENSIONS_CPU in task.settings:
        try:
            percent = local_policy.cpu_limits(task.settings)[0]
        except InvalidSetting:
            pass  # what may be installed at all was decided before, by settings that could be read
    bound = min(half, given.file_bytes or _MOST_FILE)
    return given._replace(file_bytes=bound, cpu_percent=given.cpu_percent or percent)


def explain(folder: HandlerFolder, word: str, ended: Ended) -> str:
    """Return why an operation failed, in the original's words where it has some."""
    if ended.timed_out:
        text = f"Extension timed out for {word}: {ended.told}."
    elif ended.canceled:
        text = f"Extension was canceled during {word}."
    elif ended.exit_code is None:
        text = f"Extension was ended by a signal during {word}: {ended.told}."
    else:
        text = f"Extension returned non-zero exit code for {word}: {ended.exit_code}."
    if ended.exit_code in (NOEXEC_EXIT, 126):
        text += f" {_noexec(folder)}"
    said = clean((ended.stderr_tail or ended.stdout_tail)[-TAIL:]).strip()
    return f"{text} It said: {said}" if said else text


def _noexec(folder: HandlerFolder) -> str:
    mounted = bool(os.statvfs(folder.path).f_flag & os.ST_NOEXEC)
    state = "is" if mounted else "does not seem to be"
    return (
        "This code is that of a program which may not be executed where it lies: the file system of "
        f"{folder.path.parent} {state} mounted with 'noexec'. Mount it without, and try again."
    )


def _why(folder: HandlerFolder, error: OSError) -> str:
    text = f"{error.strerror or error}."
    return f"{text} {_noexec(folder)}" if isinstance(error, PermissionError) else text
