"""Whose socket is at the other end of a loopback connection: asked of the kernel by sock_diag(7).

One exact question and one answer, however many sockets there are; it takes microseconds and never
waits. Where the kernel or a sandbox does not answer such questions, /proc/net/tcp tells.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 20, 1, 2
ALL_STATES = 0xFFFFFFFF
NO_COOKIE = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBBI")  # struct inet_diag_req_v2, without its socket
_PORTS = struct.Struct("!HH")  # struct inet_diag_sockid: ports and addresses, in network order
_REST = struct.Struct("=III")  # its interface and cookie
_FOUND = struct.Struct("=IIIII")  # struct inet_diag_msg after its socket: expires, two queues, user, inode
_SOCKID = 48

MAX_LINES = 500_000

INET_DIAG_CGROUP_ID = 21
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length with this header, and type

Address = tuple[str, int]


class Owner(NamedTuple):
    """Whose a socket is: user, inode, and the id of the control group (v2) that made it; 0: not told."""

    user: int
    inode: int
    cgroup: int = 0


def socket_of(peer: Address, local: Address, deadline: float) -> Owner | None:
    """Return the owner of the socket whose local end is our ``peer``; None where it is gone.

    May read /proc until ``deadline`` (monotonic): not for the event loop.
    """
    try:
        return asked(peer, local)
    except OSError:
        return listed(peer, local, deadline)


def asked(peer: Address, local: Address) -> Owner | None:
    """Ask by netlink.

    Raises:
        OSError: such questions are not answered here.
    """
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, ALL_STATES)
    request += _PORTS.pack(peer[1], local[1]) + _packed(family, peer[0]) + _packed(family, local[0])
    request += _REST.pack(0, NO_COOKIE, NO_COOKIE)
    header = _HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.setblocking(False)  # the answer is there when the question was taken
        kernel.send(header + request)
        reply = kernel.recv(8192)
    return _read(reply)


def _packed(family: socket.AddressFamily, host: str) -> bytes:
    return socket.inet_pton(family, host).ljust(16, b"\0")


def _read(reply: bytes) -> Owner | None:
    if len(reply) < _HEADER.size:
        raise OSError(errno.EBADMSG, "a short answer")
    kind = _HEADER.unpack_from(reply)[1]
    if kind == NLMSG_ERROR:
        code = -int.from_bytes(reply[_HEADER.size : _HEADER.size + 4], sys.byteorder, signed=True)
        if code == errno.ENOENT:
            return None
        raise OSError(code, os.strerror(code))
    at = _HEADER.size + 4 + _SOCKID
    if kind != SOCK_DIAG_BY_FAMILY or len(reply) < at + _FOUND.size:
        raise OSError(errno.EBADMSG, "another answer")
    user, inode = _FOUND.unpack_from(reply, at)[3:]
    return Owner(user, inode, _cgroup(reply, at + _FOUND.size))


def _cgroup(reply: bytes, at: int) -> int:
    """Find the control group among the attributes: Linux 5.8 and newer tell it, whoever asks."""
    end = min(len(reply), _HEADER.unpack_from(reply)[0])
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(reply, at)
        if length < _ATTRIBUTE.size or at + length > end:
            return 0
        if kind == INET_DIAG_CGROUP_ID and length == _ATTRIBUTE.size + 8:
            return int.from_bytes(reply[at + _ATTRIBUTE.size : at + length], sys.byteorder)
        at += (length + 3) & ~3
    return 0


def listed(peer: Address, local: Address, deadline: float) -> Owner | None:
    """Look through /proc/net/tcp and tcp6, until ``deadline``."""
    for table in ("tcp6",) if ":" in peer[0] else ("tcp", "tcp6"):
        mapped = table == "tcp6" and ":" not in peer[0]
        wanted = (_written(*peer, mapped), _written(*local, mapped))
        for row in _rows(table, deadline):
            if (row[1], row[2]) == wanted:
                return Owner(int(row[7]), int(row[9]))
    return None


def _rows(table: str, deadline: float) -> Iterator[list[str]]:
    try:
        with open(f"/proc/net/{table}", encoding="ascii", errors="replace") as file:
            next(file, None)
            for number, line in enumerate(file):
                if number >= MAX_LINES or (number % 1000 == 999 and time.monotonic() > deadline):
                    return
                row = line.split()
                if len(row) > 9:
                    yield row
    except OSError:
        return


def _written(host: str, port: int, mapped: bool) -> str:
    """Return an address as the kernel writes it: words of 32 bits in the machine's own order."""
    if mapped:
        raw = b"\0" * 10 + b"\xff\xff" + socket.inet_pton(socket.AF_INET, host)
    else:
        raw = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
