"""Guest configuration within ``extd``: fetch what is wanted, have it evaluated, report what was found.

It fetches when it is poked, at the start and every five minutes; evaluates each assignment when it is
new or has changed, then every fifteen minutes or as seldom as its package says, one after another,
each in a process of its own (``worker.py``); and delivers reports when the cloud can be reached. What
is wanted, what is due and what is to be delivered lie on the disk, so all of it goes on without the
cloud and after a kill at any point: an evaluation that was cut off is done again, with a report of
its own; one that ended is reported once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from landbridge_agent import local_policy
from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.dial import Unreachable
from landbridge_agent.guest.desired import Desired
from landbridge_agent.guest.ending import ended
from landbridge_agent.guest.outbox import Letter, Outbox
from landbridge_agent.guest.places import REQUEST, RESULT, Places, key, report_of, resource_of
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.local_policy import Verdict
from landbridge_agent.log_file import LogFile
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.work import entry, processes, tree
from landbridge_wire.work_api import PULL_SECONDS, Assignment, Assignments

WORKER = "landbridge_agent.guest.worker"
EVERY_MINUTES = 15
EVALUATION_SECONDS = 3600.0
"""How long one evaluation may take: packages may have to be installed at a small share of the CPU."""

RETRIES = (5.0, 15.0, 60.0)
DENIED_SECONDS = 60.0
"""How often is looked whether the local configuration still denies an evaluation."""

LOOK_SECONDS = 300.0
GONE = frozenset({400, 404, 409, 410, 413, 422})
"""The statuses after which a report is not sent again: nobody wants it, or not as it is."""


class Calls(Protocol):
    """What is asked of the cloud; both raise Refused or Unreachable."""

    async def assignments(self) -> Assignments:
        """Return the assignments of this machine."""
        ...

    async def put_report(self, assignment_name: str, report_id: str, report: Mapping[str, object]) -> None:
        """Deliver a report; the same id twice is one."""
        ...


class Logs(Protocol):
    """Where ``extd`` writes what everybody should see."""

    def info(self, message: str) -> None:
        """Write what happened."""
        ...

    def warning(self, message: str) -> None:
        """Write what went wrong and is tried again."""
        ...


class GuestConfiguration:
    """The guest configuration of one machine."""

    def __init__(
        self,
        paths: Paths,
        log: Logs,
        calls: Calls,
        settings: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Take the parts. ``environment`` is that of the worker; ``clock`` tells unix seconds."""
        self._paths, self._calls, self._settings, self._clock = paths, calls, settings, clock
        self._environment = dict(environment or {})
        self._extd_log = log
        self._places = Places(paths)
        self._log = LogFile(self._places.log, clock)
        self._outbox = Outbox(self._places.reports)
        self._desired: Desired | None = None
        self._schedule: dict[str, dict[str, Any]] = {}
        self._touch, self._due = asyncio.Event(), asyncio.Event()
        self._poked = True
        self._failures = 0

    def poke(self) -> None:
        """Fetch, and look what is due, now."""
        self._poked = True
        self._touch.set()
        self._due.set()

    async def run(self) -> None:
        """Run until cancelled; an evaluation that runs then is found again by the next start.

        Raises:
            OSError: the folders cannot be made or written.
        """
        self._prepare()
        both = [asyncio.ensure_future(one) for one in (self._keep_in_touch(), self._keep_evaluating())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in both:
                task.cancel()
            results = await asyncio.gather(*both, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _prepare(self) -> None:
        self._places.make()
        self._desired = Desired(self._places)
        with contextlib.suppress(StateError):
            config = Machine(self._paths).config()
            if config is not None and self._desired.belong_to(config.principalId):
                self._log.write("warning", "This machine is another one: what was wanted before is forgotten")
        self._schedule = {
            name: row
            for name, row in (entry.read_object(self._places.schedule) or {}).items()
            if isinstance(row, dict)
        }
        self._log.write("info", f"Guest configuration started with {len(self._wanted)} assignments")

    @property
    def _wanted(self) -> dict[str, Assignment]:
        return self._desired.assignments if self._desired is not None else {}

    # -- with the cloud ------------------------------------------------------------------------

    async def _keep_in_touch(self) -> None:
        loop = asyncio.get_running_loop()
        pull_at = loop.time()
        while True:
            self._touch.clear()
            reached = True
            if self._poked or loop.time() >= pull_at:
                self._poked = False
                reached = await self._pull()
                pull_at = loop.time() + PULL_SECONDS * (1 + os.urandom(1)[0] / 1024)
            delivered = await self._deliver()
            self._failures = 0 if reached and delivered else self._failures + 1
            if self._failures:
                self._poked = self._poked or not reached
                pause = RETRIES[min(self._failures, len(RETRIES)) - 1]
            else:
                pause = pull_at - loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0.1)):
                    await self._touch.wait()

    async def _pull(self) -> bool:
        """Fetch what is wanted; say whether the cloud could be reached."""
        try:
            found = await self._calls.assignments()
        except (Refused, Unreachable, StateError, InvalidSetting) as error:
            if not self._failures:
                self._log.write("warning", f"The assignments cannot be fetched; those known go on: {error}")
            return False
        if self._desired is None:
            return True
        try:
            gone = self._desired.take(found)
        except OSError as error:
            self._extd_log.warning(f"The assignments cannot be written: {error.strerror or error}")
            return False
        for name in gone:
            self._schedule.pop(key(name), None)
            self._log.write("info", f"{name} is not wanted any more; its files are gone")
        if gone:
            self._save_schedule()
        self._due.set()
        return True

    async def _deliver(self) -> bool:
        """Deliver what waits, the oldest first; say whether all of it is away."""
        for letter in self._outbox.letters():
            one = self._wanted.get(key(letter.name))
            if one is not None and one.tag == letter.tag:
                try:
                    await self._calls.put_report(letter.name, letter.report_id, letter.report)
                except Refused as error:
                    if error.status not in GONE:
                        return self._undelivered(letter, error)
                    self._log.write("warning", f"The report of {letter.name} is not wanted: {error.reason}")
                except (Unreachable, StateError, InvalidSetting) as error:
                    return self._undelivered(letter, error)
            letter.path.unlink(missing_ok=True)
        return True

    def _undelivered(self, letter: Letter, error: Exception) -> bool:
        if not self._failures:
            self._log.write("warning", f"The report of {letter.name} waits for the cloud: {error}")
        return False

    # -- on the machine ------------------------------------------------------------------------

    async def _keep_evaluating(self) -> None:
        await self._find_again()
        while True:
            self._due.clear()
            name, pause = self._next()
            one = self._wanted.get(name)
            if one is not None and pause <= 0:
                await self._evaluate(one)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min(pause, LOOK_SECONDS), 0.1)):
                    await self._due.wait()

    def _next(self) -> tuple[str, float]:
        """Return which assignment is due next, and in how many seconds."""
        now, found = self._clock(), [("", LOOK_SECONDS)]
        for name, one in self._wanted.items():
            row = self._schedule.get(name, {})
            at, seconds = float(row.get("at", 0)), float(row.get("seconds", 0))
            if row.get("tag") != one.tag:  # new or changed: before all others
                found.append((name, -now))
            else:  # a clock that was set back is no reason to wait for it
                found.append((name, at + seconds - now if at <= now else 0.0))
        return min(found, key=lambda each: each[1])

    def _evaluated(self, one: Assignment, seconds: float, denied: str = "") -> None:
        row = {"tag": one.tag, "at": self._clock(), "seconds": seconds, "denied": denied}
        self._schedule[key(one.name)] = row
        self._save_schedule()

    def _save_schedule(self) -> None:
        entry.write(self._places.schedule, json.dumps(self._schedule).encode())

    def _allowed(self) -> tuple[Verdict, Mapping[str, Any], int]:
        """Return whether the machine lets itself be configured, its settings, and the share of its CPU."""
        try:
            settings = self._settings()
            verdict = local_policy.guest_configuration(settings)
            return verdict, settings, local_policy.cpu_limits(settings)[1]
        except (StateError, InvalidSetting) as error:
            return Verdict(False, f"the local configuration cannot be read: {error}"), {}, 1

    async def _evaluate(self, one: Assignment) -> None:
        row = self._schedule.get(key(one.name), {})
        is_new = row.get("tag") != one.tag or bool(row.get("denied"))
        verdict, settings, share = self._allowed()
        if not verdict.allowed:
            self._deny(
                one, verdict.rule, told=row.get("tag") == one.tag and row.get("denied") == verdict.rule
            )
            return
        report_id = _guid()
        request: dict[str, Any] = {
            "reportId": report_id,
            "workId": f"guest-{report_id}",
            "jobId": _guid(),
            "operationType": "Initial" if is_new else "Consistency",
            "assignment": {**one.to_json(), "protected": list(one.protected)},
            "tags": self._desired.tags if self._desired is not None else {},
            "settings": dict(settings),
            "cpuPercent": share,
            "began": self._clock(),
        }
        folder = self._places.evaluation
        self._clean()
        folder.mkdir(mode=0o700, exist_ok=True)
        entry.write(folder / REQUEST, json.dumps(request).encode())
        pid = processes.start_worker(WORKER, folder, request["workId"], self._environment)
        await self._finish(request, await ended(pid, request["workId"], EVALUATION_SECONDS))

    async def _finish(self, request: Mapping[str, Any], how: str) -> None:
        """Queue the report of an evaluation that has ended, and note when the next one is due."""
        one = Assignment.from_json(request["assignment"])
        result = entry.read_object(self._places.evaluation / RESULT)
        report = result.get("report") if result else None
        minutes = result.get("minutes", EVERY_MINUTES) if result else EVERY_MINUTES
        if not isinstance(report, dict):
            how = f"a defect of the agent, {result['failed']}" if result and "failed" in result else how
            phrase = f"The evaluation did not end by itself: {how}. It is begun anew in {minutes} minutes."
            report = self._failure(one, "Landbridge:Evaluation:Failed", phrase, request)
        wanted = self._wanted.get(key(one.name))
        if wanted is not None and wanted.tag == one.tag:
            self._outbox.add(one.name, one.tag, request["reportId"], report)
            self._evaluated(one, 60.0 * max(int(minutes), EVERY_MINUTES))
            self._log.write("info", f"{one.name} was evaluated: {report['complianceStatus']} ({how})")
        elif wanted is None and self._desired is not None:
            self._desired.remove(one.name)  # what the worker wrote after it was taken away
        self._clean()
        self._touch.set()

    def _deny(self, one: Assignment, rule: str, *, told: bool) -> None:
        if not told:
            phrase = f"Nothing was evaluated and nothing changed: on this machine {rule}."
            said = {"operationType": "Initial", "jobId": _guid(), "began": self._clock()}
            report = self._failure(one, "Landbridge:LocalConfiguration:Denied", phrase, said)
            self._outbox.add(one.name, one.tag, _guid(), report)
            self._log.write("warning", f"{one.name} is not evaluated: {rule}")
        self._evaluated(one, DENIED_SECONDS, denied=rule)
        self._touch.set()

    def _failure(self, one: Assignment, code: str, phrase: str, said: Mapping[str, Any]) -> dict[str, Any]:
        wanted = one.guestConfiguration
        row = resource_of(f"[Configuration]{wanted.get('name', '')}", "NonCompliant", [(code, phrase)], {})
        return report_of(
            "NonCompliant",
            [row],
            began=float(said["began"]),
            ended=self._clock(),
            job=str(said["jobId"]),
            operation=str(said["operationType"]),
            version=str(wanted.get("version") or ""),
        )

    def _clean(self) -> None:
        """Remove what an evaluation leaves; the request goes last, as it says that there was one."""
        for name in (RESULT, REQUEST):
            (self._places.evaluation / name).unlink(missing_ok=True)

    async def _find_again(self) -> None:
        """Wait for the evaluation that an earlier ``extd`` began. If it was cut off it is done again."""
        request = entry.read_object(self._places.evaluation / REQUEST)
        if request is None or not isinstance(request.get("workId"), str):
            self._clean()
            return
        until = float(request.get("began", 0)) + EVALUATION_SECONDS
        while self._clock() < until:
            if not await asyncio.to_thread(lambda: tree.find(request["workId"])):
                break
            await asyncio.sleep(1.0)
        await asyncio.to_thread(tree.kill, request["workId"])
        if entry.read_object(self._places.evaluation / RESULT) is not None:
            await self._finish(request, "found again after a restart")
        self._clean()


def _guid() -> str:
    """Return a random GUID (RFC 9562, version 4); ``uuid`` would cost ``extd`` memory."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
