"""What takes longer: many logins, much data, many power cuts. ``./test soak`` runs these."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from running import ENVIRONMENT, Connection

pytestmark = [pytest.mark.soak, pytest.mark.ssh]

LOGINS = 300
GROWTH_KIB = 12 * 1024
"""More than this between two equal rounds of logins is memory that never comes back."""

STREAM_MIB = 2048
POWER_CUTS = 10


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def log_in_often(connection: Connection, logins: int) -> None:
    def log_in(number: int) -> str:
        done = connection.ssh(f"echo {number}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert list(pool.map(log_in, range(logins))) == [str(number) for number in range(logins)]


def test_memory_stays_where_it_is_over_hundreds_of_logins(connection: Connection) -> None:
    agent = connection.agent
    assert agent.daemon is not None
    processes = {"himdsd": agent.daemon.process.pid, "landbridge": agent.cloud.child.process.pid}
    log_in_often(connection, LOGINS // 3)
    before = {name: resident_kib(pid) for name, pid in processes.items()}
    log_in_often(connection, LOGINS)
    after = {name: resident_kib(pid) for name, pid in processes.items()}
    assert {
        name: after[name] - before[name] for name in processes if after[name] - before[name] > GROWTH_KIB
    } == {}


def test_two_gibibytes_pass_through_one_session_unchanged(connection: Connection) -> None:
    make = f"head -c {STREAM_MIB}M /dev/zero | openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2"
    expected = subprocess.run(["sh", "-c", f"{make} | sha256sum"], stdout=subprocess.PIPE, check=True).stdout
    argv = [*connection.ssh_command, connection.host, make]
    seen = hashlib.sha256()
    with subprocess.Popen(argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        while block := client.stdout.read(1 << 20):
            seen.update(block)
    assert client.returncode == 0
    assert seen.hexdigest() == expected.decode().split()[0]


def test_nothing_acknowledged_is_lost_over_many_power_cuts(connection: Connection) -> None:
    cloud = connection.agent.cloud
    written: list[str] = []
    for cut in range(POWER_CUTS):
        for number in range(10):
            path = f"{cloud.subscription}/resourceGroups/cut-{cut}-{number}"
            assert cloud.arm("PUT", path, {"location": "local"}).status in (200, 201)
            written.append(path)
        cloud.kill()
        cloud.start()
        connection.agent.wait_connected()
    assert [path for path in written if cloud.arm("GET", path).status != 200] == []
