"""A worker: carries out one entry of the journal, once, in a process of its own.

    python -I -m landbridge_agent.work.worker FOLDER

It begins by writing ``started.json``, which only the first can; it ends by writing ``result.json``.
Whoever finds the first without the second, and no worker, knows that it was killed in the middle.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.log_file import LogFile
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths, paths_from
from landbridge_agent.work import entry, tree
from landbridge_agent.work.processes import Limits, become_subreaper
from landbridge_agent.work.task import Outcome, Task
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.work_api import EXTENSION, MACHINE, OUTPUT_LIMIT, RUN_COMMAND, WorkItem, WorkReport

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = (
    *("LANG", "LC_ALL", "TZ", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT"),
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
)
"""What programs of the cloud get of the agent's environment, besides PATH."""

SPARED_BYTES = 512 * 1024**2
"""What a single file of a run command leaves free on the disk, at least."""

LEAST_FILE = 16 * 1024**2

RESULT_TRIES, RESULT_PAUSE = 360, 5.0
"""How often, and after how many seconds each, a worker tries to note how its item ended."""

CarryOut = Callable[[Task], Outcome]


def environment_for(unfiltered: Mapping[str, str]) -> dict[str, str]:
    """Return what a program of the cloud gets of the agent's environment."""
    kept = {name: unfiltered[name] for name in PASSED_ON if name in unfiltered}
    return {"PATH": PATH, "LANG": "C.UTF-8", **kept}


def limits_for(item: WorkItem, folder: Path) -> Limits:
    """Return the bounds of an item by its type; an extension's own are set where it is known."""
    if item.type != RUN_COMMAND:
        return Limits()
    disk = os.statvfs(folder)
    largest = max(disk.f_bavail * disk.f_frsize - SPARED_BYTES, LEAST_FILE)
    return Limits(file_bytes=largest, output_bytes=OUTPUT_LIMIT)


def find(item: WorkItem) -> CarryOut | None:
    """Return what carries out an item; None: this agent does not know how to."""
    if item.type == RUN_COMMAND and item.kind == "apply":
        from landbridge_agent.work import run_command

        return run_command.carry_out
    if item.type in (EXTENSION, MACHINE):
        from landbridge_agent.extensions import queue

        return queue.carry_out
    return None


def work(folder: Path, paths: Paths, environment: Mapping[str, str], clock: Callable[[], float]) -> int:
    """Carry out an entry; 3 when another worker has begun it already."""
    said = entry.read_object(folder / entry.ITEM)
    try:
        item = WorkItem.from_json(said)
    except MalformedMessage as error:
        print(f"{folder} holds no item of work: {error}", file=sys.stderr)
        return 2
    pid = os.getpid()
    mark = {"pid": pid, "startTime": tree.start_time(pid), "bootId": tree.boot_id(), "at": clock()}
    if not entry.write_once(folder / entry.STARTED, json.dumps(mark).encode()):
        return 3
    become_subreaper()
    log = LogFile(paths.work_log, clock)
    outcome = _outcome(item, folder, paths, environment, clock, log)
    report = WorkReport(outcome.properties, True, outcome.error_code, outcome.error_message[:32_000])
    _conclude(folder, json.dumps(report.to_json()).encode())
    return 0


def _conclude(folder: Path, result: bytes) -> None:
    """Write how it ended; on a full disk as soon as there is room, as nobody else knows.

    Raises:
        OSError: there was none for very long.
    """
    for _ in range(RESULT_TRIES):
        try:
            entry.write_once(folder / entry.RESULT, result)
            return
        except OSError:
            time.sleep(RESULT_PAUSE)
    entry.write_once(folder / entry.RESULT, result)


def _outcome(
    item: WorkItem,
    folder: Path,
    paths: Paths,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    log: LogFile,
) -> Outcome:
    try:
        settings = Machine(paths).local_settings()
        limits = limits_for(item, folder)
        task = Task(item, paths, folder, settings, limits, environment_for(environment), clock)
        carry_out = find(item)
        if carry_out is None:
            return Outcome({}, "OperationNotAllowed", f"This agent cannot do '{item.kind}' of {item.type}.")
        return carry_out(task)
    except (StateError, InvalidSetting) as error:
        text = f"The local configuration of the machine cannot be used, so nothing may be done: {error}"
        return Outcome({}, "OperationNotAllowed", text)
    except Exception as error:
        log.write("error", f"A defect ended the work {item.id}: {traceback.format_exc()}")
        tree.kill(item.id, below=os.getpid(), spare=frozenset({os.getpid()}))
        return Outcome(
            {}, "Conflict", f"A defect of the agent ended it: {type(error).__name__}. See its log."
        )


def main() -> int:
    """Carry out the entry that the argument names; return the exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m landbridge_agent.work.worker FOLDER", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the file "cancel" ends what it does, nothing else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = dict(os.environ)  # noqa: TID251
    return work(Path(sys.argv[1]), paths_from(environment), environment, time.time)  # noqa: TID251


if __name__ == "__main__":
    sys.exit(main())
