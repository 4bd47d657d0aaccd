"""The inside of ``own_machine.OwnMachine``: run by ``unshare`` in a new network and mount namespace.

It makes the loopback interface and the folders of a bare machine, says ``ready``, and hands every
connection to the control plane's address out through a socket in the file system. With ``outside``
it is the other end of that socket, in the network where the control plane is. ``arm`` is one call of ARM.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import socket
import ssl
import struct
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def raise_loopback() -> None:
    """Do as ``ip link set lo up``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def mount(*words: str | Path) -> None:
    """Run ``mount``."""
    subprocess.run(["mount", *words], check=True)


def furnish(folder: Path) -> None:
    """Give the machine its own /var/opt and /opt, and each file of ``folder`` below /etc."""
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/var/opt")
    if not sys.base_prefix.startswith("/opt/"):
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/opt")
    for path in folder.iterdir():
        mount("--bind", path, f"/etc/{path.name}")


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def inside(path: str, host: str, port: int) -> None:
    """Hand connections to ``host:port`` out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(path)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async with await asyncio.start_server(serve, host, port) as server:
        print("ready", flush=True)
        await server.serve_forever()


async def outside(path: str, host: str, port: int) -> None:
    """Take what is handed out to where the control plane is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async with await asyncio.start_unix_server(serve, path) as server:
        print("ready", flush=True)
        await server.serve_forever()


def arm(admin_file: str, method: str, path: str, version: str, body: str) -> None:
    """Call ARM as the administrator's service principal, and print its answer."""
    admin = json.loads(Path(admin_file).read_text())
    url = admin["resourceManager"].rstrip("/")
    context = ssl.create_default_context(cafile=admin["caFile"])

    def call(request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, context=context, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    form = {
        "grant_type": "client_credentials",
        "client_id": admin["clientId"],
        "client_secret": admin["clientSecret"],
        "scope": f"{url}/.default",
    }
    login = f"{url}/{admin['tenantId']}/oauth2/v2.0/token"
    token = call(urllib.request.Request(login, urllib.parse.urlencode(form).encode()))["access_token"]
    request = urllib.request.Request(f"{url}{path}?api-version={version}", method=method)
    request.add_header("Authorization", f"Bearer {token}")
    if body != "null":
        request.data = body.encode()
        request.add_header("Content-Type", "application/json")
    print(json.dumps(call(request)))


def main() -> None:
    """``inside|outside SOCKET HOST PORT [FOLDER]``, or ``arm ADMIN METHOD PATH VERSION BODY``."""
    if sys.argv[1] == "arm":
        arm(*sys.argv[2:])
        return
    side, path, host, port, *folder = sys.argv[1:]
    if side == "inside":
        raise_loopback()
        furnish(Path(folder[0]))
    asyncio.run((inside if side == "inside" else outside)(path, host, int(port)))


if __name__ == "__main__":
    main()
