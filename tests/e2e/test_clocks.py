"""A control plane whose clock is an hour off: refused with a text that says so, and mended by mending it."""

from __future__ import annotations

from pathlib import Path

import pytest

from quickstart.programs import Children, wait_until
from running import Connection

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
BACK_SECONDS = 10.0


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")
@pytest.mark.parametrize("shift", ["+1h", "-1h"])
def test_a_clock_that_is_an_hour_off_is_said_and_mended(connection: Connection, shift: str) -> None:
    agent, cloud = connection.agent, connection.agent.cloud
    cloud.stop()
    agent.kill_daemon()  # it comes back without a token, and must sign in by the wrong clock
    wrong = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    cloud.start(wrong)
    agent.start_daemon()

    def said() -> bool | None:
        return "look at the clock" in str(agent.show()["agentErrorDetails"]) or None

    assert wait_until("the agent to say that a clock is wrong", said, Children(), 30)
    assert agent.show()["status"] == "Disconnected"
    cloud.stop()
    cloud.start()
    agent.wait_connected(BACK_SECONDS)
    assert connection.ssh("echo back").stdout == "back\n"
