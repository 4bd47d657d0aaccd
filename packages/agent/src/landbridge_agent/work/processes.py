"""Run programs of the cloud: bounded, in a session of their own, ended with all that they started.

``run`` is for a worker, which is a process of one thread; ``start_worker`` for ``extd``.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.work import limits as bounds
from landbridge_agent.work import tree
from landbridge_agent.work.capture import Captured as Captured
from landbridge_agent.work.capture import Stream
from landbridge_agent.work.limits import Limits as Limits
from landbridge_agent.work.run_as import Account, become
from landbridge_agent.work.tree import WORK_ID

LOOK_SECONDS = 0.1
"""How often a running program's end, time and cancellation are looked for."""

GRACE_SECONDS = 0.5
"""What a program has between SIGTERM and SIGKILL."""

TICK_SECONDS = 1.0
DRAIN_SECONDS = 2.0
READ = 64 * 1024
UNWANTED_FIRST = "500"
"""``oom_score_adj``: when memory runs out, what the cloud has run goes before what was there."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Ended(NamedTuple):
    """How a program ended: with an exit code or by a signal; and whether we ended it, and why."""

    exit_code: int | None
    signal: int | None = None
    timed_out: bool = False
    canceled: bool = False
    stdout_tail: str = ""
    stderr_tail: str = ""
    stdout_total: int = 0
    stderr_total: int = 0
    dropped: int = 0

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.exit_code == 0 and not self.timed_out and not self.canceled

    @property
    def told(self) -> str:
        """How it ended, in words."""
        if self.timed_out:
            return "it took longer than it may and was ended"
        if self.canceled:
            return "it was canceled"
        if self.signal is not None:
            return f"it was ended by the signal {signal_name(self.signal)}"
        return f"it ended with exit code {self.exit_code}"


def signal_name(number: int) -> str:
    """Return a signal's name, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def start_worker(module: str, folder: Path, work_id: str, environment: Mapping[str, str]) -> int:
    """Start ``python -I -m MODULE FOLDER`` in a session of its own, with nothing open; return its id.

    It outlives whoever started it. ``tree.kill(work_id)`` ends it with all that it started.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", module, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, WORK_ID: work_id},
        cwd="/",
        start_new_session=True,
    )
    process.returncode = 0  # it is watched by its process handle, not by this object
    return process.pid


def become_subreaper() -> None:
    """Have processes that lose their parent become ours, so that they can be found and ended."""
    import ctypes  # a mebibyte that only workers need

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def confine(name: str, limits: Limits) -> None:
    """Bound this very process and whatever it will start: for a worker that evaluates by itself."""
    group = bounds.make_group(name, limits, bounds.hierarchy())
    if group is not None:
        try:
            bounds.join(group)
        except OSError:
            group = None
    whole = group is None or not (group / "memory.max").exists()
    bounds.restrict(limits, is_root=os.geteuid() == 0, whole=whole)


def _child(limits: Limits, group: Path | None, who: Account | None, parent: int) -> Callable[[], None]:
    """Return what the child does before it becomes the program. Everything is imported by now."""
    import ctypes

    library = ctypes.CDLL(None)

    def prepare() -> None:
        joined = group
        if group is not None:
            try:
                bounds.join(group)
            except OSError:
                joined = None
        whole = joined is None or not (joined / "memory.max").exists()
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(UNWANTED_FIRST)
        bounds.restrict(limits, is_root=who is None and os.geteuid() == 0, whole=whole)
        if who is not None:
            become(who)
        os.umask(0o022)
        for number in (signal.SIGTERM, signal.SIGINT):  # a worker ignores them; its programs would for ever
            signal.signal(number, signal.SIG_DFL)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of rights undoes it: so last
        if os.getppid() != parent:
            os._exit(125)

    return prepare


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    seconds: float,
    stdout: Path,
    stderr: Path,
    work_id: str,
    limits: Limits,
    account: Account | None = None,
    leave_running: bool = False,
    is_canceled: Callable[[], bool] = lambda: False,
    tick: Callable[[Captured], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Ended:
    """Run a program to its end; ``task.Task.run`` says what is promised. 0 ``seconds``: no bound.

    Raises:
        OSError: it cannot be started, or a file for its output cannot be made.
    """
    become_subreaper()
    group = bounds.make_group(work_id, limits, bounds.hierarchy())
    with Captured(stdout, stderr, limits.output_bytes) as captured:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**env, WORK_ID: work_id},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_child(limits, group, account, os.getpid()),
                pass_fds=tuple(pass_fds),
            )
        except subprocess.SubprocessError as error:
            raise OSError(f"{argv[0]} cannot be started with the rights that it needs: {error}") from error
        with process:
            running = _Running(process, captured, work_id, is_canceled, tick)
            return running.wait(seconds, leave_running=leave_running)


class _Running:
    """One program that runs, and both its pipes."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        captured: Captured,
        work_id: str,
        is_canceled: Callable[[], bool],
        tick: Callable[[Captured], None] | None,
    ) -> None:
        self._process, self._captured, self._work_id = process, captured, work_id
        self._is_canceled, self._tick = is_canceled, tick
        self._pipes = selectors.DefaultSelector()
        for pipe, stream in ((process.stdout, captured.stdout), (process.stderr, captured.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._pipes.register(pipe.fileno(), selectors.EVENT_READ, stream)

    def wait(self, seconds: float, *, leave_running: bool) -> Ended:
        """Follow it to its end, then end what it left."""
        try:
            timed_out, canceled = self._follow(seconds)
            if timed_out or canceled:
                self._end()
            code = self._process.wait()
            if timed_out or canceled or not leave_running:
                tree.kill(self._work_id, below=os.getpid(), spare=self._spare)
            self._drain(0.2 if leave_running else DRAIN_SECONDS)
            tree.reap(self._spare)
        except BaseException:
            self._process.kill()
            tree.kill(self._work_id, below=os.getpid(), spare=self._spare)
            raise
        finally:
            self._pipes.close()
        out, err = self._captured.stdout, self._captured.stderr
        return Ended(
            code if code >= 0 else None, -code if code < 0 else None, timed_out, canceled,
            out.tail, err.tail, out.total, err.total, out.dropped + err.dropped,
        )  # fmt: skip

    @property
    def _spare(self) -> frozenset[int]:
        return frozenset({os.getpid()})

    def _follow(self, seconds: float) -> tuple[bool, bool]:
        """Return when the program has ended, or must: whether its time is over, whether it was canceled."""
        began = ticked = time.monotonic()
        while self._process.poll() is None:
            self._read(LOOK_SECONDS)
            now = time.monotonic()
            if self._is_canceled():
                return False, True
            if seconds and now - began > seconds:
                return True, False
            if self._tick is not None and now - ticked >= TICK_SECONDS:
                ticked = now
                self._tick(self._captured)
        return False, False

    def _read(self, seconds: float) -> bool:
        """Read what is there, or wait for it; say whether there was any. Without pipes, just wait."""
        if not self._pipes.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return False
        found = self._pipes.select(seconds)
        for key, _ in found:
            try:
                data = os.read(key.fd, READ)
            except BlockingIOError:
                continue
            if data:
                stream: Stream = key.data
                stream.add(data)
            else:
                self._pipes.unregister(key.fileobj)
        return bool(found)

    def _end(self) -> None:
        """Ask all to end, wait a moment, then end them."""
        tree.send(tree.find(self._work_id, below=os.getpid()), signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            self._read(0.05)
        with contextlib.suppress(OSError):
            self._process.kill()

    def _drain(self, seconds: float) -> None:
        """Take what is still in the pipes; whoever keeps them open is not waited for."""
        until = time.monotonic() + seconds
        while self._pipes.get_map() and time.monotonic() < until:
            if not self._read(0.05) and seconds < DRAIN_SECONDS:
                return
