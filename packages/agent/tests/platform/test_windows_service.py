"""A service of Windows: what it tells the manager, and what it does when it is told to stop."""

from __future__ import annotations

import asyncio

import pytest

from landbridge_agent.platform import windows_service as service
from landbridge_agent.platform.windows_service import Reporter, Stopping, dispatch, when_stopped


class Manager:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, int]] = []

    def __call__(self, state: int, controls: int, code: int, wait: int) -> None:
        assert (wait > 0) == (state in (service.START_PENDING, service.STOP_PENDING))
        self.said.append((state, controls, code))


def test_a_life_begins_runs_and_ends_with_the_exit_code():
    manager = Manager()
    assert Reporter(manager, Stopping()).live(lambda: 3) == 3
    accepted = service.ACCEPT_STOP | service.ACCEPT_SHUTDOWN
    assert manager.said == [
        (service.START_PENDING, 0, 0),
        (service.RUNNING, accepted, 0),
        (service.STOPPED, 0, 3),
    ]


def test_a_defect_still_says_that_it_has_stopped():
    def fails() -> int:
        raise RuntimeError

    manager = Manager()
    with pytest.raises(RuntimeError):
        Reporter(manager, Stopping()).live(fails)
    assert manager.said[-1] == (service.STOPPED, 0, 1)


@pytest.mark.parametrize("control", [service.CONTROL_STOP, service.CONTROL_SHUTDOWN])
async def test_stop_and_shutdown_end_the_daemon(control):
    stopping, stopped = Stopping(), asyncio.Event()
    when_stopped(stopped.set, stopping)
    manager = Manager()
    told = await asyncio.to_thread(Reporter(manager, stopping).control, control)
    await asyncio.wait_for(stopped.wait(), 5)
    assert told == service.NO_ERROR
    assert manager.said == [(service.STOP_PENDING, 0, 0)]


async def test_a_stop_that_came_early_is_not_lost():
    stopping, stopped = Stopping(), asyncio.Event()
    stopping.ask()
    when_stopped(stopped.set, stopping)
    await asyncio.wait_for(stopped.wait(), 5)


def test_a_question_is_answered_with_the_last_word_and_others_are_none_of_ours():
    manager = Manager()
    reporter = Reporter(manager, Stopping())
    reporter.report(service.RUNNING)
    assert reporter.control(service.CONTROL_INTERROGATE) == service.NO_ERROR
    assert manager.said[0] == manager.said[1]
    assert reporter.control(128) == service.NOT_IMPLEMENTED


def windows_api(*, error: int = 0, started: bool = True):
    """Return ``ctypes`` with the service manager's calls in it; it starts ServiceMain at once."""
    import ctypes
    from types import SimpleNamespace

    said = []

    class Function:
        def __init__(self, act):
            self.act = act

        def __call__(self, *words):
            return self.act(*words)

    def start(table):
        if error:
            return 0
        assert table[0].name == "himds" and table[1].name is None
        table[0].main(0, None)
        return 1

    def status(_handle, pointer):
        said.append(pointer._obj.state)
        return 1

    api = SimpleNamespace(
        RegisterServiceCtrlHandlerExW=Function(lambda *_: 77 if started else 0),
        SetServiceStatus=Function(status),
        StartServiceCtrlDispatcherW=Function(start),
    )
    members = {name: getattr(ctypes, name) for name in dir(ctypes) if not name.startswith("__")}
    members |= {
        "WinDLL": lambda *_words, **_options: api,
        "WINFUNCTYPE": ctypes.CFUNCTYPE,
        "get_last_error": lambda: error,
    }
    return SimpleNamespace(**members), said


def test_the_manager_starts_the_daemon_and_hears_its_life():
    ctypes, said = windows_api()
    assert dispatch(ctypes, "himds", lambda: 0, Stopping()) == 0
    assert said == [service.START_PENDING, service.RUNNING, service.STOPPED]


def test_in_a_console_it_runs_in_the_foreground():
    ctypes, said = windows_api(error=service.NOT_A_SERVICE)
    assert dispatch(ctypes, "himds", lambda: 4, Stopping()) == 4
    assert said == []


def test_another_refusal_of_the_manager_is_said():
    ctypes, _ = windows_api(error=1056)
    with pytest.raises(OSError, match="error 1056"):
        dispatch(ctypes, "himds", lambda: 0, Stopping())


def test_a_service_that_may_not_register_does_not_run():
    ctypes, said = windows_api(started=False)
    assert dispatch(ctypes, "himds", lambda: 0, Stopping()) == 1
    assert said == []
