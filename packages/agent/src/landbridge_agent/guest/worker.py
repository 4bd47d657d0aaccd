"""Evaluate one assignment, as a process of its own: ``python -I -m landbridge_agent.guest.worker FOLDER``.

``FOLDER`` holds ``request.json``; the worker's last word is ``result.json``, whole or not at all. It
binds itself first: processor and memory. Whatever goes wrong before there are resources
to report of is reported as one: the configuration itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from landbridge_agent import local_policy
from landbridge_agent.guest import configuration, packages
from landbridge_agent.guest.configuration import BadConfiguration
from landbridge_agent.guest.download import downloader
from landbridge_agent.guest.drift import History
from landbridge_agent.guest.evaluation import (
    AUDIT,
    COMPLIANT,
    NON_COMPLIANT,
    Evaluation,
    Seen,
    mode_of,
)
from landbridge_agent.guest.places import MEMORY_BYTES, REQUEST, RESULT, Places, report_of, resource_of
from landbridge_agent.guest.resources.resource import Reason
from landbridge_agent.guest.system import System
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths, paths_from
from landbridge_agent.proxies import proxy_from
from landbridge_agent.work import entry, processes

PASSED_ON = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "LANDBRIDGE_WORK_ID",
)
"""What the programs that resources run get of the worker's own environment."""

HIDDEN = "***"


def main() -> None:
    """Run it; the only reader of the environment and the clock."""
    folder = Path(sys.argv[1])
    request = entry.read_object(folder / REQUEST)
    if request is None:
        sys.exit(1)
    limits = processes.Limits(cpu_percent=int(request["cpuPercent"]), memory_bytes=MEMORY_BYTES)
    processes.confine(str(request["workId"]), limits)
    os.nice(10)
    try:
        result = evaluate(request, paths_from(os.environ), os.environ, time.time)  # noqa: TID251
    except Exception as error:  # a defect of ours: where it is, and not what was at hand there
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}, line {frame.lineno}"
        result = {"failed": f"{type(error).__name__} in {where}"}
    entry.write(folder / RESULT, json.dumps(result).encode())


def evaluate(
    request: Mapping[str, Any], paths: Paths, environment: Mapping[str, str], clock: Callable[[], float]
) -> dict[str, Any]:
    """Return ``{"report", "minutes"}`` for a request of the reconciler."""
    began = clock()
    assignment = request["assignment"]
    wanted: Mapping[str, Any] = assignment["guestConfiguration"]
    protected = assignment["protected"]
    version, minutes = str(wanted.get("version") or ""), packages.LEAST_MINUTES
    try:
        package, mode = _package(request, paths, environment)
        version, minutes = package.version or version, package.minutes
        declared = configuration.with_parameters(
            package.declared, [*(wanted.get("configurationParameter") or []), *protected]
        )
        system = _system(request, paths, environment)
        history = History(Places(paths).history(assignment["name"]), assignment["tag"])
        seen = Evaluation(system, mode, history, clock).run(declared)
    except BadConfiguration as error:
        reason = Reason(f"Landbridge:Configuration:{error.code}", str(error))
        seen = [Seen(f"[Configuration]{wanted.get('name', '')}", [reason], {}, False)]
    ok = all(one.ok for one in seen)
    report = report_of(
        COMPLIANT if ok else NON_COMPLIANT,
        [_resource(one, protected) for one in seen],
        began=began,
        ended=clock(),
        job=str(request["jobId"]),
        operation=str(request["operationType"]),
        version=version,
    )
    return {"report": report, "minutes": minutes}


def _package(
    request: Mapping[str, Any], paths: Paths, environment: Mapping[str, str]
) -> tuple[packages.Package, str]:
    assignment = request["assignment"]
    wanted = assignment["guestConfiguration"]
    mode = mode_of(str(wanted.get("assignmentType") or AUDIT))
    proxy = local_policy.proxy(request["settings"], proxy_from(environment))
    package = packages.find(
        wanted,
        request["tags"],
        Places(paths).packages(assignment["name"]),
        downloader(proxy, _context(paths)),
        sets=mode != AUDIT,
    )
    if mode != AUDIT and not package.may_set:
        raise BadConfiguration(
            "Package", "The package's metaconfig says Type Audit, so it changes nothing: assign Audit."
        )
    return package, mode


def _context(paths: Paths) -> ssl.SSLContext:
    """Trust what the machine trusts, and its own cloud. The hash decides; this keeps URLs private."""
    context = ssl.create_default_context()
    machine = Machine(paths)
    with contextlib.suppress(StateError, OSError, ssl.SSLError):
        config, installed = machine.config(), machine.cloud_file()
        own = config.caFile if config is not None and paths.relocated else ""
        file = own or (installed.ca_file if installed is not None else "")
        if file:
            context.load_verify_locations(cafile=file)
    return context


def _system(request: Mapping[str, Any], paths: Paths, environment: Mapping[str, str]) -> System:
    return System(
        paths.root,
        relocated=paths.relocated,
        scripts=local_policy.guest_scripts(request["settings"]),
        environment={name: environment[name] for name in PASSED_ON if name in environment},
    )


# -- nothing protected leaves the machine --------------------------------------------------------


def _resource(seen: Seen, protected: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    secrets = sorted({str(one.get("value", "")) for one in protected} - {""}, key=len, reverse=True)
    names = {str(one.get("name", "")).lower() for one in protected}
    shown = {
        name: HIDDEN if f"{seen.id.lower()};{name.lower()}" in names else value
        for name, value in seen.properties.items()
    }
    row = resource_of(seen.id, COMPLIANT if seen.ok else NON_COMPLIANT, seen.reasons, shown)
    hidden: dict[str, Any] = _without(row, secrets, {name.rpartition(";")[2] for name in names})
    return {**hidden, "complianceStatus": row["complianceStatus"]}  # one of two words, whatever is secret


def _without(value: Any, secrets: list[str], names: set[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        # What is no UTF-8 in a file, and NUL, which some stores refuse, is not passed on.
        return str(value).encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without(one, secrets, names) for one in value]
    if isinstance(value, dict):
        return {
            name: HIDDEN if name.lower() in names else _without(one, secrets, names)
            for name, one in value.items()
        }
    return value


if __name__ == "__main__":
    main()
