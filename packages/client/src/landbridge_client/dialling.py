"""From relay information to an open WebSocket: TCP, HTTPS_PROXY, TLS, the upgrade.

TLS runs over memory buffers: an ``SSLSocket`` costs two system calls per 16 KiB record,
this one two per 256 KiB.
"""

from __future__ import annotations

import os
import socket
import ssl

from landbridge_client.relay_info import CONNECTING, ProxyError, RelayInfo
from landbridge_wire.upgrade import (
    HandshakeError,
    check_response,
    head_length,
    key_for,
    parse_head,
    request_head,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

READ = 256 * 1024
"""How much is read from a socket or pipe at once."""

TIMEOUT = 70.0
"""Seconds for each step of connecting; a relay may hold us while the machine comes back."""


class Channel:
    """TLS over a socket. ``outgoing`` holds what is encrypted and not yet sent."""

    __slots__ = ("_received", "incoming", "outgoing", "socket", "tls")

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self.socket = connection
        self._received = memoryview(bytearray(READ))  # used again: new ones cost page faults
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def send_pending(self) -> None:
        """Send what is encrypted, blocking: for the time before the pump runs."""
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    def receive(self) -> bool:
        """Read once from the socket; return False at its end."""
        size = self.socket.recv_into(self._received)
        if not size:
            self.incoming.write_eof()
            return False
        self.incoming.write(self._received[:size])
        return True

    def handshake(self) -> None:
        """Do the TLS handshake, blocking."""
        while True:
            try:
                self.tls.do_handshake()
                self.send_pending()
                return
            except ssl.SSLWantReadError:
                self.send_pending()
                if not self.receive():
                    raise ConnectionResetError(
                        "the relay closed the connection during the handshake"
                    ) from None
            except ssl.SSLError:
                self.send_pending()  # the alert that tells the server why
                raise

    def read(self) -> bytes:
        """Read decrypted bytes, blocking; empty at the end."""
        while True:
            try:
                return self.tls.read(READ)
            except ssl.SSLWantReadError:
                if not self.receive():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""


def dial(info: RelayInfo, port: int, environ: Mapping[str, str]) -> tuple[Channel, bytes]:
    """Connect to the machine's sshd on ``port``; return the channel and what came after the 101.

    Raises:
        ProxyError: with the reason, in the form that ``az ssh`` looks for.
    """
    try:
        connection = _connect(info, environ)
        connection.settimeout(TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel = Channel(connection, _context(info, environ), info.host)
        channel.handshake()
        return channel, _upgrade(channel, info, port)
    except ssl.SSLCertVerificationError as error:
        raise ProxyError(
            CONNECTING + f"the certificate of {info.authority} is not trusted: {error.verify_message}; "
            "name the CA in SSHPROXY_CA_FILE"
        ) from None
    except socket.gaierror as error:
        raise ProxyError(CONNECTING + f"cannot resolve {info.host}: {error.strerror}") from None
    except TimeoutError:
        raise ProxyError(CONNECTING + f"{info.authority} does not answer in time") from None
    except (OSError, HandshakeError) as error:
        raise ProxyError(
            CONNECTING + f"{info.authority}: {getattr(error, 'strerror', '') or error}"
        ) from None


def _context(info: RelayInfo, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trust one CA file if there is one: loading the system's takes 40 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = info.ca_file or environ.get("SSHPROXY_CA_FILE") or environ.get("SSL_CERT_FILE")
    if not file:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError):
        raise ProxyError(CONNECTING + f"the CA file {file} cannot be read") from None
    return context


def _upgrade(channel: Channel, info: RelayInfo, port: int) -> bytes:
    key = key_for(os.urandom(16))
    call = os.urandom(16).hex()
    identity = "-".join((call[:8], call[8:12], call[12:16], call[16:20], call[20:]))
    headers = [("Servicebusauthorization", info.sas)]
    if info.token:
        headers.append(("Service-Configuration-Token", info.token))
    headers.append(("Microsoft-Guestgateway-Target", f"localhost:{port}"))
    target = f"/$hc/{info.path}?sb-hc-action=connect&sb-hc-id={identity}"
    channel.tls.write(request_head(target, info.authority, key, headers))
    channel.send_pending()
    received = b""
    while not (length := head_length(received)):
        data = channel.read()
        if not data:
            raise HandshakeError("the relay closed the connection without an answer")
        received += data
    head = parse_head(received[:length])
    if head.status != 101:
        raise ProxyError(CONNECTING + f"{head.status} {head.reason}")
    check_response(head, key)
    return received[length:]


# -- the way to the relay ----------------------------------------------------------------


def _connect(info: RelayInfo, environ: Mapping[str, str]) -> socket.socket:
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    bypass = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if not proxy or bypassed(info.host, info.port, bypass):
        return socket.create_connection((info.host, info.port), TIMEOUT)
    host, port, credentials = parse_proxy(proxy)
    connection = socket.create_connection((host, port), TIMEOUT)
    where = f"{info.host}:{info.port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if credentials:
        from binascii import b2a_base64

        lines.append("Proxy-Authorization: Basic " + b2a_base64(credentials, newline=False).decode())
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    received = b""
    while not head_length(received):
        # Byte by byte: what follows the proxy's answer belongs to TLS.
        data = connection.recv(1)
        if not data:
            raise HandshakeError(f"the proxy {host}:{port} closed the connection")
        received += data
    head = parse_head(received)
    if head.status // 100 != 2:
        raise ProxyError(CONNECTING + f"the proxy {host}:{port} answers {head.status} {head.reason}")
    return connection


def parse_proxy(text: str) -> tuple[str, int, bytes]:
    """Return host, port and ``user:password`` of ``[http://][user:password@]host[:port]``.

    Raises:
        ProxyError: it is a kind of proxy that is not supported here.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme.lower() != "http":
        raise ProxyError(CONNECTING + f"HTTPS_PROXY must begin with http://, not {scheme}://")
    credentials, _, place = rest.rstrip("/").rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        host, port = place, "80"
    user: bytes = b""
    if credentials:
        from urllib.parse import unquote_to_bytes

        user = unquote_to_bytes(credentials)
    return host.strip("[]"), int(port), user


def bypassed(host: str, port: int, rules: str) -> bool:
    """Tell whether NO_PROXY names the host: itself, a domain it ends in, ``host:port`` or ``*``."""
    host = host.lower()
    for rule in rules.lower().split(","):
        name, colon, only = rule.strip().rpartition(":")
        if not (colon and only.isdigit()):
            name, only = rule.strip(), ""
        if only and only != str(port):
            continue
        name = name.lstrip("*").lstrip(".")
        if rule.strip() == "*" or (name and (host == name or host.endswith("." + name))):
            return True
    return False
