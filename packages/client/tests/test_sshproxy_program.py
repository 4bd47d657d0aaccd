"""The built ``sshProxy`` as a process, against a real relay on a real TLS port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import PATH, Agent, Relay, echoing, serving

from landbridge_server.relay.limits import Limits
from landbridge_wire import websocket

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.5, linger=0.2)


def relay_info(relay: Relay, **changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "namespaceName": "127",
        "namespaceNameSuffix": f"0.0.1:{relay.port}",
        "hybridConnectionName": PATH,
        "accessKey": relay.send_token(),
        "expiresOn": int(time.time()) + 3600,
        "serviceConfigurationToken": None,
    }
    return {"relay": {**body, **changes}, "caFile": str(relay.ca_file)}


def encoded(info: dict[str, object]) -> str:
    return base64.b64encode(json.dumps(info).encode()).decode()


@contextlib.asynccontextmanager
async def running(file: Path, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        file, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env={"PATH": os.environ["PATH"], **environ}
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def failure(file: Path, *arguments: str, **environ: str) -> str:
    """Run the proxy, expect it to fail, and return its message."""
    async with running(file, *arguments, **environ) as process:
        output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert output == b""
    assert errors.count(b"\n") == 1
    assert errors.startswith(b'{"level":"fatal","msg":"')
    assert list(json.loads(errors)) == ["level", "msg", "time"]
    return json.loads(errors)["msg"]


CONNECTING = "sshproxy: error connecting to the address: "
COPYING = "sshproxy: error copying information from the connection: "


async def test_carries_bytes_both_ways_and_ends_with_its_input(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        info = encoded(relay_info(relay))
        async with running(proxy_file, "-p", str(port), SSHPROXY_RELAY_INFO=info) as process:
            process.stdin.write(b"SSH-2.0-test\r\n")
            assert await process.stdout.readexactly(14) == b"SSH-2.0-test\r\n"
            # end of input travels to the machine, whose echo then ends the session
            output, errors = await process.communicate(b"the end")
            assert (process.returncode, output, errors) == (0, b"the end", b"")


async def test_mebibytes_survive_a_reader_that_stalls(proxy_file: Path, tmp_path: Path) -> None:
    sent = os.urandom(1 << 20) * 32
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        info = encoded(relay_info(relay))
        async with running(proxy_file, "-p", str(port), SSHPROXY_RELAY_INFO=info) as process:

            async def feed() -> None:
                process.stdin.write(sent)
                await process.stdin.drain()
                process.stdin.write_eof()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed())
                await asyncio.sleep(0.3)
                received = await process.stdout.read()
            await process.wait()
    assert len(received) == len(sent)
    assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()
    assert process.returncode == 0


async def test_reads_the_file_that_az_ssh_config_writes(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        info = relay_info(relay)
        del info["caFile"]
        file = tmp_path / "relay_info"
        file.write_text(encoded(info))
        ca = {"SSHPROXY_CA_FILE": str(relay.ca_file)}
        async with running(proxy_file, "-r", str(file), "-p", str(port), **ca) as process:
            output, _ = await process.communicate(b"hello")
        assert output == b"hello"


async def test_leaves_when_its_reader_is_gone(proxy_file: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        environ = {"SSHPROXY_RELAY_INFO": encoded(relay_info(relay))}
        process = await asyncio.create_subprocess_exec(
            proxy_file, "-p", str(port), stdin=asyncio.subprocess.PIPE, stdout=write, env=environ
        )
        os.close(write)
        while not relay.broker.sessions(PATH):
            await asyncio.sleep(0.02)
        os.close(read)
        assert await asyncio.wait_for(process.wait(), 30) == 0
        process.stdin.close()


async def test_says_which_port_is_not_allowed(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, Agent(relay, {1}).running():
        message = await failure(proxy_file, "-p", "2222", SSHPROXY_RELAY_INFO=encoded(relay_info(relay)))
    assert message == CONNECTING + "403 Port 2222 is not allowed."


async def test_says_that_and_since_when_the_machine_is_offline(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        relay.broker.offline_since = lambda path: relay.clock() - 60
        message = await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(relay_info(relay)))
    known = "404 Endpoint does not exist. The machine is offline since 2027-01-15T07:59:00Z."
    assert message.startswith(CONNECTING + known + " TrackingId:")


async def test_says_that_the_credentials_have_expired(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        ours = relay_info(relay, expiresOn=1_700_000_000)
        assert "401 the credentials expired" in await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(ours))
        theirs = relay_info(relay, accessKey=relay.send_token(seconds=-1))
        message = await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(theirs))
        assert message.startswith(CONNECTING + "401 ExpiredToken")


async def test_trusts_only_the_given_ca(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, contextlib.AsyncExitStack() as stack:
        other = tmp_path / "other"
        other.mkdir()
        stranger = await stack.enter_async_context(serving(other, QUICK))
        info = relay_info(relay)
        info["caFile"] = str(stranger.ca_file)
        message = await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(info))
    assert message.startswith(CONNECTING + f"the certificate of 127.0.0.1:{relay.port} is not trusted")


async def test_says_why_a_session_broke_off(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        info = encoded(relay_info(relay))
        async with running(proxy_file, "-p", str(port), SSHPROXY_RELAY_INFO=info) as process:
            process.stdin.write(b"x")
            await process.stdout.readexactly(1)
            relay.broker.close(PATH)
            errors = await process.stderr.read()
            await process.wait()
    assert process.returncode == 1
    assert json.loads(errors)["msg"] == COPYING + "The machine was removed."


async def test_answers_pings_while_idle(proxy_file: Path, tmp_path: Path) -> None:
    limits = replace(QUICK, ping=0.05, data_beats=2)
    async with serving(tmp_path, limits) as relay, echoing() as port, Agent(relay, {port}).running():
        info = encoded(relay_info(relay))
        async with running(proxy_file, "-p", str(port), SSHPROXY_RELAY_INFO=info) as process:
            process.stdin.write(b"x")
            await process.stdout.readexactly(1)
            await asyncio.sleep(0.6)  # many times the silence that is allowed
            process.stdin.write(b"y")
            assert await process.stdout.readexactly(1) == b"y"


async def test_renews_expired_credentials_with_the_files_own_command(
    proxy_file: Path, tmp_path: Path
) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        file, fresh = tmp_path / "relay", tmp_path / "fresh"
        fresh.write_text(encoded(relay_info(relay)))
        code = f"import shutil; print('noise'); shutil.copy({str(fresh)!r}, {str(file)!r})"
        stale = relay_info(relay, expiresOn=int(time.time()) + 30)
        stale["refresh"] = {"argv": [sys.executable, "-c", code]}
        file.write_text(encoded(stale))
        file.chmod(0o600)
        async with running(proxy_file, "-r", str(file), "-p", str(port)) as process:
            output, errors = await process.communicate(b"renewed")
        assert (output, errors) == (b"renewed", b"noise\n")


async def test_runs_no_command_from_a_file_that_others_can_write(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        file, trace = tmp_path / "relay", tmp_path / "trace"
        stale = relay_info(relay, expiresOn=1)
        stale["refresh"] = {"argv": ["touch", str(trace)]}
        file.write_text(encoded(stale))
        file.chmod(0o662)
        assert "others can write it" in await failure(proxy_file, "-r", str(file))
    assert not trace.exists()


@pytest.mark.parametrize("credentials", ["", "user:p%40ss@"])
async def test_goes_through_https_proxy(proxy_file: Path, tmp_path: Path, credentials: str) -> None:
    heads: list[bytes] = []

    async def proxying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[0].split(b" ")[1].decode().rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        server = await asyncio.start_server(proxying, "127.0.0.1", 0)
        where = f"http://{credentials}127.0.0.1:{server.sockets[0].getsockname()[1]}"
        info = encoded(relay_info(relay))
        environ = {"SSHPROXY_RELAY_INFO": info, "HTTPS_PROXY": where}
        async with running(proxy_file, "-p", str(port), **environ) as process:
            output, _ = await process.communicate(b"via")
        async with running(proxy_file, "-p", str(port), **environ, NO_PROXY="127.0.0.1") as process:
            direct, _ = await process.communicate(b"direct")
        server.close()
        await server.wait_closed()
    assert (output, direct, len(heads)) == (b"via", b"direct", 1)
    assert heads[0].startswith(f"CONNECT 127.0.0.1:{relay.port} HTTP/1.1\r\n".encode())
    expected = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss")
    assert (expected in heads[0]) == bool(credentials)


async def test_a_proxy_that_refuses_is_named(proxy_file: Path, tmp_path: Path) -> None:
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        writer.close()

    async with serving(tmp_path, QUICK) as relay:
        server = await asyncio.start_server(refusing, "127.0.0.1", 0)
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        environ = {"SSHPROXY_RELAY_INFO": encoded(relay_info(relay)), "https_proxy": where}
        message = await failure(proxy_file, **environ)
        server.close()
        await server.wait_closed()
    assert message == CONNECTING + f"the proxy {where} answers 407 Proxy Authentication Required"


async def test_a_relay_that_is_down_or_unknown_is_named(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        info = relay_info(relay)
    assert "Connection refused" in await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(info))
    info["relay"].update(namespaceName="nobody", namespaceNameSuffix="invalid")
    assert "cannot resolve nobody.invalid" in await failure(proxy_file, SSHPROXY_RELAY_INFO=encoded(info))


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        ([], {}, "give the relay information"),
        (["-p", "70000"], {}, "not a port"),
        (["-p"], {}, "needs a value"),
        (["connect"], {}, "unknown argument"),
        (["-r", "/nonexistent"], {}, "cannot read"),
        ([], {"SSHPROXY_RELAY_INFO": "!!!"}, "not base64"),
        ([], {"SSHPROXY_RELAY_INFO": base64.b64encode(b"[" * 60_000).decode()}, "not base64"),
        ([], {"SSHPROXY_RELAY_INFO": base64.b64encode(b'{"relay":{}}').decode()}, "'namespaceNameSuffix'"),
    ],
)
async def test_bad_input_is_one_line_that_says_what(
    proxy_file: Path, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    assert message in await failure(proxy_file, *arguments, **environ)


async def test_prints_version_and_help(proxy_file: Path) -> None:
    for argument, text in (("--version", b"sshProxy "), ("--help", b"Usage: sshProxy")):
        async with running(proxy_file, argument) as process:
            output, errors = await process.communicate()
        assert output.startswith(text)
        assert (process.returncode, errors) == (0, b"")


async def test_loads_nothing_that_is_slow(proxy_file: Path) -> None:
    """A budget: what the proxy imports is what every ssh waits for."""
    code = (
        f"exec(compile(open({str(proxy_file)!r}).read(), 'sshProxy', 'exec'), {{'__name__': 'loaded'}})\n"
        "import sys\n"
        "slow = {'asyncio', 'argparse', 'logging', 'typing', 'dataclasses', 'http', 'email', 'subprocess'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        os.path.realpath(sys.executable), "-ISE", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.strip() == b"[]"


def test_two_builds_are_the_same_bytes(proxy_file: Path, tmp_path: Path) -> None:
    from build_sshproxy import build

    again = tmp_path / "again"
    build(again, f"{os.path.realpath(sys.executable)} -ISE")
    assert again.read_bytes() == proxy_file.read_bytes()
    assert b"landbridge_wire.websocket import" not in again.read_bytes()


async def test_a_peer_that_breaks_the_framing_is_reported(proxy_file: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        info = encoded(relay_info(relay))
        async with running(proxy_file, SSHPROXY_RELAY_INFO=info) as process:
            call = json.loads((await listener.message())[1])["accept"]
            machine = await relay.dial(call["address"])
            await machine.send(b"\xff" * 126, websocket.PING)
            errors = await process.stderr.read()
            await process.wait()
    assert json.loads(errors)["msg"].startswith(COPYING)
