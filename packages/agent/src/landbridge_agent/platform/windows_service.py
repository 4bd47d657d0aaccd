"""Windows: being a service of the service control manager (SCM), by ctypes.

https://learn.microsoft.com/windows/win32/services/service-servicemain-function: the process gives the
main thread to the dispatcher; the manager starts ``ServiceMain`` in a thread of its own, which registers
for controls, says that it runs, works, and says that it has stopped.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

OWN_PROCESS = 0x10
STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
ACCEPT_STOP, ACCEPT_SHUTDOWN = 0x1, 0x4
CONTROL_STOP, CONTROL_INTERROGATE, CONTROL_SHUTDOWN = 1, 4, 5
NO_ERROR, NOT_IMPLEMENTED, SERVICE_SPECIFIC = 0, 120, 1066
NOT_A_SERVICE = 1063
"""ERROR_FAILED_SERVICE_CONTROLLER_CONNECT: somebody started this process in a console."""

PENDING_MILLISECONDS = 20_000


class Stopping:
    """Whether this process shall end, and whom to tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._tell: Callable[[], object] | None = None

    def follow(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` from any thread once it shall end; at once, if that is so already."""
        with self._lock:
            self._tell, asked = tell, self._asked
        if asked:
            tell()

    def ask(self) -> None:
        """Ask the process to end."""
        with self._lock:
            self._asked, tell = True, self._tell
        if tell is not None:
            tell()


STOPPING = Stopping()


def when_stopped(stop: Callable[[], object], stopping: Stopping = STOPPING) -> None:
    """Have ``stop`` called in the running loop when the manager, or somebody in a console, says so."""
    loop = asyncio.get_running_loop()
    stopping.follow(lambda: loop.call_soon_threadsafe(stop))
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, lambda *_: stopping.ask())


class Reporter:
    """Tells the manager how the service is doing. ``say(state, controls, code, wait)`` does the call."""

    def __init__(self, say: Callable[[int, int, int, int], None], stopping: Stopping) -> None:
        self._say, self._stopping = say, stopping
        self._last = (START_PENDING, 0, 0, PENDING_MILLISECONDS)

    def report(self, state: int, code: int = 0) -> None:
        """Say a state; ``code`` is the daemon's exit code."""
        controls = ACCEPT_STOP | ACCEPT_SHUTDOWN if state == RUNNING else 0
        wait = PENDING_MILLISECONDS if state in (START_PENDING, STOP_PENDING) else 0
        self._last = (state, controls, code, wait)
        self._say(*self._last)

    def control(self, control: int) -> int:
        """Answer the manager's word (HandlerEx); return NO_ERROR, or that it is none of ours."""
        if control in (CONTROL_STOP, CONTROL_SHUTDOWN):
            self.report(STOP_PENDING)
            self._stopping.ask()
            return NO_ERROR
        if control == CONTROL_INTERROGATE:
            self._say(*self._last)
            return NO_ERROR
        return NOT_IMPLEMENTED

    def live(self, run: Callable[[], int]) -> int:
        """Run the service from its first to its last word; return the exit code."""
        self.report(START_PENDING)
        code = 1
        self.report(RUNNING)
        try:
            code = run()
        finally:
            self.report(STOPPED, code)
        return code


def dispatch(ctypes: Any, name: str, run: Callable[[], int], stopping: Stopping = STOPPING) -> int:
    """Give this thread to the dispatcher and run the service; without a manager, run in the foreground.

    Raises:
        OSError: the manager refused for another reason.
    """
    api = ctypes.WinDLL("advapi32", use_last_error=True)
    codes: list[int] = []

    class Status(ctypes.Structure):  # type: ignore[misc] # SERVICE_STATUS
        _fields_ = tuple((field, ctypes.c_uint32) for field in STATUS_FIELDS)

    handler_type = ctypes.WINFUNCTYPE(
        ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
    )
    main_type = ctypes.WINFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)
    api.RegisterServiceCtrlHandlerExW.restype = ctypes.c_void_p
    api.RegisterServiceCtrlHandlerExW.argtypes = (ctypes.c_wchar_p, handler_type, ctypes.c_void_p)
    api.SetServiceStatus.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    kept: list[object] = []  # what Windows calls must outlive this frame's names

    def service_main(_count: int, _words: object) -> None:
        handle: list[Any] = []

        def say(state: int, controls: int, code: int, wait: int) -> None:
            error = SERVICE_SPECIFIC if code else NO_ERROR
            status = Status(OWN_PROCESS, state, controls, error, code, 0, wait)
            api.SetServiceStatus(handle[0], ctypes.byref(status))

        reporter = Reporter(say, stopping)
        handler = handler_type(lambda control, _kind, _data, _context: reporter.control(control))
        kept.append(handler)
        registered = api.RegisterServiceCtrlHandlerExW(name, handler, None)
        if registered:
            handle.append(registered)
            codes.append(reporter.live(run))

    class Entry(ctypes.Structure):  # type: ignore[misc] # SERVICE_TABLE_ENTRYW
        _fields_ = (("name", ctypes.c_wchar_p), ("main", main_type))

    main = main_type(service_main)
    entry: Any = Entry
    table = (entry * 2)(entry(name, main), entry(None, main_type()))
    if api.StartServiceCtrlDispatcherW(table):
        return codes[0] if codes else 1
    error = ctypes.get_last_error()
    if error == NOT_A_SERVICE:
        return run()
    raise OSError(error, f"the service control manager refused the service {name} (error {error})")


STATUS_FIELDS = (
    "type",
    "state",
    "controls",
    "exit_code",
    "specific_exit_code",
    "check_point",
    "wait_hint",
)
"""Of SERVICE_STATUS; all DWORD."""
