"""Where the metadata service listens, who asks it, and what happens when its port is taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import socket
import subprocess
import sys
import time

import pytest

from landbridge_agent.daemon import caller, identity_endpoint, socket_owner
from landbridge_agent.daemon.caller import UNKNOWN, Caller, find
from landbridge_agent.daemon.identity_endpoint import IdentityEndpoint, PortTaken, bind
from landbridge_agent.daemon.local_http import LocalServer, Reply
from landbridge_agent.daemon.log import Log


async def hello(_request):
    return Reply(200, {"said": "hello"})


def endpoint(tmp_path, relocated=True):
    log = Log(tmp_path / "himds.log", io.StringIO(), lambda: 0.0)
    return IdentityEndpoint(LocalServer(hello, print), relocated, log)


@contextlib.asynccontextmanager
async def running(one):
    task = asyncio.ensure_future(one.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def test_both_loopback_addresses_have_the_same_port(tmp_path):
    sockets = bind(0)
    try:
        ports = {one.getsockname()[1] for one in sockets}
        assert len(ports) == 1
        assert [one.getsockname()[0] for one in sockets][: len(sockets)] == ["127.0.0.1", "::1"][
            : len(sockets)
        ]
    finally:
        for one in sockets:
            one.close()


def test_without_ipv6_the_other_address_serves(monkeypatch):
    made = socket.socket

    def only_ipv4(family, kind):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(family, kind)

    monkeypatch.setattr(identity_endpoint.socket, "socket", only_ipv4)
    (only,) = bind(0)
    with only:
        assert only.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_named_with_a_way_to_find_who_has_it():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} is taken.*ss -ltnp"):
            bind(port)


async def test_a_taken_port_is_said_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(identity_endpoint, "AGAIN_SECONDS", 0.05)
    other = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(identity_endpoint, "PORT", other.getsockname()[1])
    one = endpoint(tmp_path, relocated=False)
    async with running(one):
        await until(lambda: "is taken by another program" in one.problem)
        assert one.url == ""
        other.close()
        await until(lambda: one.url)
        assert one.problem == ""
    log = (tmp_path / "himds.log").read_text()
    assert log.count("is taken by another program") == 1  # said once, not with every attempt
    assert "are served at" in log


async def test_two_relocated_agents_have_a_port_each(tmp_path):
    first, second = endpoint(tmp_path), endpoint(tmp_path)
    async with running(first), running(second):
        await until(lambda: first.url and second.url)
        assert first.url != second.url


# -- who asks ------------------------------------------------------------------------------------


def refuse(*_arguments):
    raise OSError(errno.EPERM, "not here")


@pytest.mark.parametrize("way", ["asked", "listed"])
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_tells_who_is_connected(family, host, way, monkeypatch):
    monkeypatch.setattr(socket_owner, "listed" if way == "asked" else "asked", refuse)
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            accepted, peer = server.accept()
            with accepted:
                found = find(peer[:2], accepted.getsockname()[:2])
            assert client.getsockname()[:2] == peer[:2]
    assert found == Caller(os.getuid(), os.getpid(), os.path.realpath(sys.executable))


@pytest.mark.parametrize("way", ["asked", "listed"])
def test_a_socket_of_both_families_is_found_too(way, monkeypatch):
    monkeypatch.setattr(socket_owner, "listed" if way == "asked" else "asked", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        client.connect((f"::ffff:{server.getsockname()[0]}", server.getsockname()[1]))
        accepted, peer = server.accept()
        with accepted:
            assert find(peer, accepted.getsockname()).process == os.getpid()


@pytest.mark.parametrize("way", ["asked", "listed"])
def test_who_has_left_is_unknown(way, monkeypatch):
    monkeypatch.setattr(socket_owner, "listed" if way == "asked" else "asked", refuse)
    assert find(("127.0.0.1", 1), ("127.0.0.1", 2)) == UNKNOWN
    assert str(UNKNOWN) == "a process of an unknown user"


def test_a_search_ends_in_time(monkeypatch):
    monkeypatch.setattr(caller, "SECONDS", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, peer = server.accept()
        with accepted:
            found = find(peer, accepted.getsockname())
    assert found.process is None


AS_NOBODY = """
import os, socket, sys
from landbridge_agent.daemon.caller import find
from landbridge_agent.platform import here
here()  # whoever we become may not read where our modules are
server = socket.create_server(("127.0.0.1", 0))
server.settimeout(20)
print(server.getsockname()[1], flush=True)
accepted, peer = server.accept()
os.setgid(65534)
os.setuid(65534)
print(find(peer, accepted.getsockname()), flush=True)
"""
ASKING = """
import encodings.idna, os, socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
os.setgid(54321)
os.setuid(54321)
client = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
sys.stdin.read()
"""


@pytest.fixture
def group():
    """A control group of our own."""
    mounts = [one for one in caller.CGROUPS if os.path.exists(f"{one}/cgroup.controllers")]
    path = f"{mounts[0]}/landbridge-test-{os.getpid()}.service" if mounts else ""
    try:
        os.mkdir(path)
    except OSError:
        pytest.skip("no control group (v2) can be made here")
    yield path
    deadline = time.monotonic() + 10
    while True:
        try:
            os.rmdir(path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def started(code, *words):
    argv = [sys.executable, "-c", code, *words]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("others", [0, 1])
def test_whose_processes_are_not_ours_to_read_is_told_by_its_control_group(group, others):
    with started(AS_NOBODY) as daemon:
        port = daemon.stdout.readline().strip()
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(started(IDLE, group)) for _ in range(others)]
            for one in idle:
                assert one.stdout.readline() == "there\n"
            asking = stack.enter_context(started(ASKING, group, port))
            said = daemon.stdout.readline().strip()
            name = "/" + os.path.basename(group)
            only = f"process {asking.pid} ('python"
            for one in (*idle, asking):
                one.stdin.close()
    if others:
        assert said == f"a process of user 54321 in {name}"
    else:
        assert said.startswith(only) and said.endswith(f"), the only one of user 54321 in {name}")


IDLE = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
os.setgid(54321)
os.setuid(54321)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "attributes", ["", "00", "0400", "08001500", "ffff1500", "0c001500" + "ff" * 4, "00001500"]
)
def test_attributes_that_make_no_sense_are_no_control_group(attributes):
    header = socket_owner._HEADER.pack(16 + len(attributes) // 2, 20, 0, 1, 0)
    assert socket_owner._cgroup(header + bytes.fromhex(attributes), 16) == 0
