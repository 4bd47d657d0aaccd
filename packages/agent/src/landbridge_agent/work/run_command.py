"""A run command: one script, once, as the resource says (contract: agent, 4.3).

Its files lie in ``run-command-handler/download/NAME/SEQUENCE/``: ``script.sh`` (0500), ``stdout`` and
``stderr`` (0600). What it prints is kept whole up to ``OUTPUT_LIMIT``, and its last 4 KB are in
``instanceView``. A script that ran and failed is no failure of the item; one that could not be
started is. Named parameters are environment variables, others arguments; the protected ones are
in no log, and in no program's arguments but the script's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from landbridge_agent import local_policy
from landbridge_agent.logline import timestamp
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths
from landbridge_agent.work import append_blob, cloud_calls, download, entry, run_as, trusted
from landbridge_agent.work.capture import ROOM, Captured
from landbridge_agent.work.processes import Ended, run, signal_name
from landbridge_agent.work.run_as import Account, NoSuchAccount
from landbridge_agent.work.task import Outcome, Task
from landbridge_wire.work_api import OUTPUT_LIMIT, WorkItem

PUBLISHER, TYPE = "Microsoft.CPlat.Core", "RunCommandHandlerLinux"
DEFAULT_SECONDS = 90 * 60
LONGEST_SCRIPT = 16 * 1024 * 1024
PRINTED = "printed.json"
"""In the entry's folder, when the script has ended: how many bytes of each stream it printed."""

OBSERVE_SECONDS = 5.0
DOWNLOAD, FOLDER, SAVE, EXECUTE, RUN_AS, BLOB = -100, -200, -203, -204, -102, -101
"""The original handler's exit codes for what is not the script's own failure."""

TIMED_OUT = -222
_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class CannotStart(Exception):
    """The script cannot be started; ``exit_code`` is what the original's handler would say."""

    def __init__(self, message: str, exit_code: int, code: str = "OperationNotAllowed") -> None:
        super().__init__(message)
        self.message, self.exit_code, self.code = message, exit_code, code


def folder_of(paths: Paths, item: WorkItem) -> Path:
    """Return the folder of one run's files.

    Raises:
        CannotStart: the resource's name cannot be one of a folder.
    """
    if not _NAME.fullmatch(item.name):
        raise CannotStart(f"'{item.name[:80]}' cannot be the name of a run command.", FOLDER)
    return paths.run_commands / "download" / item.name / str(item.sequence)


def streams(paths: Paths, item: WorkItem) -> dict[str, Path]:
    """Return where a run's output is, by the names of its streams; nothing where it can have none."""
    try:
        folder = folder_of(paths, item)
    except CannotStart:
        return {}
    return {"stdout": folder / "stdout", "stderr": folder / "stderr"}


def remove_files(paths: Paths, item: WorkItem) -> None:
    """Remove everything that runs of this name have left.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        folder = folder_of(paths, item).parent
    except CannotStart:
        return
    if folder.is_dir():
        shutil.rmtree(folder)


def view(state: str, message: str = "", **members: Any) -> dict[str, Any]:
    """Return observed properties: the ``instanceView`` with what is known."""
    known = {name: value for name, value in members.items() if value is not None}
    return {"instanceView": {"executionState": state, "executionMessage": message, **known}}


def carry_out(task: Task) -> Outcome:
    """Run the script of one item; the outcome says how that went."""
    began = timestamp(task.clock())
    try:
        if task.is_canceled:
            raise CannotStart(
                f"It was canceled before it began: {task.why_canceled}", EXECUTE, "OperationPreempted"
            )
        _check_allowed(task)
        return _Run(task).carry_out()
    except CannotStart as error:
        ended = timestamp(task.clock())
        state = "Canceled" if task.is_canceled else "Failed"
        seen = view(state, error.message, exitCode=error.exit_code, startTime=began, endTime=ended)
        return Outcome(seen, error.code, error.message)


def _check_allowed(task: Task) -> None:
    verdict = local_policy.extension(task.settings, PUBLISHER, TYPE)
    if not verdict.allowed:
        text = f"The machine's own configuration does not allow run commands: {verdict.rule}."
        raise CannotStart(text, EXECUTE)


class _Run:
    """One run of one script."""

    def __init__(self, task: Task) -> None:
        self._task, self._properties = task, task.item.properties
        self._folder = folder_of(task.paths, task.item)
        self._began = timestamp(task.clock())
        self._observed_at = task.clock()
        self._who = self._account()
        self._variables, self._arguments = self._parameters()
        self._blobs = self._blob_addresses()

    # -- what the resource says ----------------------------------------------------------------

    def _account(self) -> Account | None:
        name = str(self._properties.get("runAsUser") or "")
        if not name:
            return None
        try:
            return run_as.account(name)
        except NoSuchAccount as error:
            raise CannotStart(str(error), RUN_AS) from error

    def _parameters(self) -> tuple[dict[str, str], list[str]]:
        variables: dict[str, str] = {}
        arguments: list[str] = []
        for where in (
            self._properties.get("parameters"),
            self._task.item.protected.get("protectedParameters"),
        ):
            for one in where or []:
                name, value = str(one.get("name") or ""), str(one.get("value") or "")
                if "\0" in value or (name and not _VARIABLE.fullmatch(name)):
                    text = f"The parameter '{name[:80]}' cannot be an environment variable of a script."
                    raise CannotStart(text, EXECUTE, "InvalidParameter")
                if name:
                    variables[name] = value
                else:
                    arguments.append(value)
        return variables, arguments

    def _blob_addresses(self) -> dict[str, str]:
        for name in ("outputBlobManagedIdentity", "errorBlobManagedIdentity"):
            if self._properties.get(name):
                text = f"{name} is not supported: give the blob's address a shared access signature."
                raise CannotStart(text, BLOB)
        given = {
            "stdout": self._properties.get("outputBlobUri"),
            "stderr": self._properties.get("errorBlobUri"),
        }
        return {stream: str(uri) for stream, uri in given.items() if uri}

    def _script(self) -> bytes:
        source = self._properties.get("source") or {}
        if source.get("script"):
            return str(source["script"]).encode("utf-8", "surrogatepass")
        if source.get("commandId"):
            text = (
                f"There is no built-in command '{str(source['commandId'])[:80]}' for Linux machines: "
                "give its text as source.script."
            )
            raise CannotStart(text, EXECUTE)
        if source.get("scriptUriManagedIdentity"):
            text = "scriptUriManagedIdentity is not supported: give scriptUri a shared access signature."
            raise CannotStart(text, DOWNLOAD)
        if not source.get("scriptUri"):
            raise CannotStart("The resource names no script.", EXECUTE)
        try:
            proxy, context = self._way()
            return download.fetch(
                str(source["scriptUri"]), LONGEST_SCRIPT, proxy, context, lambda: self._task.is_canceled
            )
        except download.DownloadFailed as error:
            raise CannotStart(str(error), DOWNLOAD, "Conflict") from error

    def _way(self) -> tuple[Any, Any]:
        """Return the proxy and the trust with which the machine reaches addresses of others."""
        machine = Machine(self._task.paths)
        config = machine.config()
        if config is None:
            raise CannotStart("The machine is not connected any more.", EXECUTE)
        proxy = cloud_calls.proxy_of(machine, config, self._task.environment)
        return proxy, download.context_with(trusted.cloud_of(machine, config).ca_file)

    # -- carrying it out -----------------------------------------------------------------------

    def carry_out(self) -> Outcome:
        script = self._script()
        self._prepare(script)
        try:
            for uri in self._blobs.values():
                append_blob.create(uri, *self._way())
        except append_blob.BlobFailed as error:
            raise CannotStart(str(error), BLOB, "Conflict") from error
        self._task.observe(view("Running", startTime=self._began))
        ended = self._execute(script)
        printed = {"stdout": ended.stdout_total, "stderr": ended.stderr_total}
        with contextlib.suppress(OSError):  # the disk is full: the cloud counts what it gets
            entry.write(self._task.folder / PRINTED, json.dumps(printed).encode())
        state, message, code = self._judge(ended)
        message += self._fill_blobs()
        seen = view(
            state, message, exitCode=code, output=ended.stdout_tail, error=ended.stderr_tail,
            startTime=self._began, endTime=timestamp(self._task.clock()),
        )  # fmt: skip
        return Outcome(seen)

    def _prepare(self, script: bytes) -> None:
        """Make the run's folder, without what earlier runs of the name have left."""
        try:
            for folder in (self._task.paths.extensions, self._task.paths.run_commands):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            above = self._folder.parent
            if above.is_dir():
                shutil.rmtree(above)
            self._folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise CannotStart(
                f"{self._folder} cannot be made: {error.strerror}.", FOLDER, "Conflict"
            ) from error
        try:
            self._save(script)
        except OSError as error:
            raise CannotStart(f"The script cannot be saved: {error.strerror}.", SAVE, "Conflict") from error

    def _save(self, script: bytes) -> None:
        # Carriage returns of an editor elsewhere would be parts of every word for a shell.
        text = script.replace(b"\r\n", b"\n") if b"\0" not in script[:1024] else script
        handle = os.open(self._folder / "script.sh", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o500)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            if self._who is not None and not self._who.is_ours:
                os.fchown(handle, self._who.uid, self._who.gid)

    def _execute(self, script: bytes) -> Ended:
        """Run the script by its handle: who may not enter the agent's folders may read it all the same."""
        try:
            handle = os.open(self._folder / "script.sh", os.O_RDONLY)
        except OSError as error:
            raise CannotStart(f"The script cannot be read: {error.strerror}.", EXECUTE, "Conflict") from error
        other = self._who is not None and not self._who.is_ours
        path = f"/proc/self/fd/{handle}" if other else str(self._folder / "script.sh")
        argv = [path, *self._arguments] if script.startswith(b"#!") else [_shell(), path, *self._arguments]
        task, who = self._task, self._who
        environment = {"HOME": "/root" if os.geteuid() == 0 else str(task.paths.root), **task.environment}
        try:
            return run(
                argv,
                env={**environment, **(who.environment if who else {}), **self._variables},
                cwd=self._home() if other else self._folder,
                seconds=float(self._properties.get("timeoutInSeconds") or DEFAULT_SECONDS),
                stdout=self._folder / "stdout",
                stderr=self._folder / "stderr",
                work_id=task.item.id,
                limits=task.limits._replace(output_bytes=OUTPUT_LIMIT + ROOM),
                account=who if other else None,
                is_canceled=lambda: task.is_canceled,
                tick=self._tick,
                pass_fds=(handle,) if other else (),
            )
        except OSError as error:
            raise CannotStart(f"The script cannot be started: {error}.", EXECUTE, "Conflict") from error
        finally:
            os.close(handle)

    def _home(self) -> Path:
        home = Path(self._who.home) if self._who is not None else Path("/")
        return home if home.is_dir() else Path("/")

    def _tick(self, captured: Captured) -> None:
        now = self._task.clock()
        if abs(now - self._observed_at) >= OBSERVE_SECONDS:
            self._observed_at = now
            self._task.observe(
                view(
                    "Running", startTime=self._began, output=captured.stdout.tail, error=captured.stderr.tail
                )
            )

    def _judge(self, ended: Ended) -> tuple[str, str, int]:
        """Return the state, the sentence and the exit code."""
        left = f" {ended.dropped} bytes of its output are not kept." if ended.dropped else ""
        if ended.canceled:
            return "Canceled", f"The script was ended: {self._task.why_canceled}{left}", EXECUTE
        if ended.timed_out:
            seconds = self._properties.get("timeoutInSeconds") or DEFAULT_SECONDS
            return (
                "TimedOut",
                f"The script took longer than {seconds} seconds and was ended.{left}",
                TIMED_OUT,
            )
        if ended.signal is not None:
            text = f"The script was ended by the signal {signal_name(ended.signal)}.{left}"
            return "Failed", text, 128 + ended.signal
        code = ended.exit_code or 0
        if code:
            return "Failed", f"The script ended with exit code {code}.{left}", code
        return "Succeeded", f"Execution completed.{left}", 0

    def _fill_blobs(self) -> str:
        """Write the output into the blobs; return a sentence about those that could not be."""
        told = ""
        for stream, uri in self._blobs.items():
            told += _try_append(uri, self._folder / stream, self._way)
        return told


def _shell() -> str:
    return "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"


def _try_append(uri: str, file: Path, way: Callable[[], tuple[Any, Any]]) -> str:
    try:
        append_blob.append(uri, file, *way())
    except (append_blob.BlobFailed, CannotStart, OSError) as error:
        return f" {error}"
    return ""
