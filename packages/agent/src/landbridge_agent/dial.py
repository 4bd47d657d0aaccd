"""Open a TLS connection to the control plane: trust, proxy, and errors that say what failed.

Trust is a CA file, or the system's store (with ``SSL_CERT_FILE``, which OpenSSL reads
itself); a certificate is never trusted because it was seen first.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from landbridge_wire.upgrade import HandshakeError, build_head, head_length, parse_head

P = TypeVar("P", bound=asyncio.BaseProtocol)

DIAL_SECONDS = 15.0
"""How long name resolution, proxy, TCP and TLS may take together."""


class Unreachable(Exception):
    """No TLS connection to the control plane came about; the text says why."""


class Untrusted(Unreachable):
    """The control plane's certificate is not one that this machine trusts."""


class Proxy(NamedTuple):
    """An HTTP proxy for HTTPS, and the hosts that are reached without it."""

    url: str
    bypass: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The URL without credentials, for reports."""
        scheme, separator, rest = self.url.rpartition("://")
        return scheme + separator + rest.rpartition("@")[2]

    def serves(self, host: str) -> bool:
        """Whether ``host`` is reached through the proxy; loopback addresses never are."""
        name = host.lower().strip("[]")
        if not self.url or name == "localhost" or _is_loopback(name):
            return False
        for entry in self.bypass:
            suffix = entry.lower().lstrip("*").lstrip(".")
            if entry == "*" or name == suffix or name.endswith("." + suffix):
                return False
        return True


NO_PROXY = Proxy("", ())


def proxy_from(environment: Mapping[str, str]) -> Proxy:
    """Return the proxy that HTTPS_PROXY and NO_PROXY name, in upper or lower case."""
    url = environment.get("HTTPS_PROXY") or environment.get("https_proxy") or ""
    bypass = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    return Proxy(url, tuple(entry.strip() for entry in bypass.split(",") if entry.strip()))


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def trust(ca_file: str) -> ssl.SSLContext:
    """Return a client context that trusts ``ca_file`` alone, or the system's store if empty.

    Raises:
        Untrusted: the file cannot be read or holds no certificate.
    """
    if not ca_file:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except FileNotFoundError:
        raise Untrusted(f"The CA file {ca_file} does not exist.") from None
    except (OSError, ssl.SSLError) as error:
        raise Untrusted(f"The CA file {ca_file} cannot be used: {error}.") from error
    return context


def split_https(url: str) -> SplitResult:
    """Split an ``https://`` or ``wss://`` URL.

    Raises:
        ValueError: another scheme, no host, or a port that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "wss") or not parts.hostname:
        raise ValueError(f"'{url}' is not an https:// URL.")
    _ = parts.port  # raises ValueError when it is out of range
    return parts


class Dialer:
    """Opens TLS connections with one trust and one proxy."""

    def __init__(self, context: ssl.SSLContext, proxy: Proxy = NO_PROXY) -> None:
        self._context = context
        self._proxy = proxy

    async def open(self, url: str, make: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to the host of ``url`` and hand its TLS stream to ``make()``.

        Raises:
            Unreachable: it did not come about within ``DIAL_SECONDS``.
        """
        parts = split_https(url)
        host, port = str(parts.hostname), parts.port or 443
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                if self._proxy.serves(host):
                    return await self._through_proxy(host, port, make)
                loop = asyncio.get_running_loop()
                return await loop.create_connection(make, host, port, ssl=self._context)
        except (OSError, TimeoutError, HandshakeError, EOFError) as error:
            raise _explain(f"{host}:{port}", error) from error

    async def _through_proxy(
        self, host: str, port: int, make: Callable[[], P]
    ) -> tuple[asyncio.Transport, P]:
        """RFC 9110 section 9.3.6: CONNECT, then TLS within."""
        loop = asyncio.get_running_loop()
        parts = urlsplit(self._proxy.url if "://" in self._proxy.url else f"http://{self._proxy.url}")
        if parts.scheme != "http" or not parts.hostname:
            raise Unreachable("HTTPS_PROXY must be an http:// URL, such as http://proxy.example:3128.")
        plain, tunnel = await loop.create_connection(_Tunnel, parts.hostname, parts.port or 80)
        try:
            plain.write(build_head(f"CONNECT {host}:{port} HTTP/1.1", _proxy_headers(parts, host, port)))
            answer = parse_head(await tunnel.head)
            if answer.status != 200:
                where = f"{parts.hostname}:{parts.port or 80}"
                raise Unreachable(f"The proxy {where} refused: {answer.status} {answer.reason}.")
            protocol = make()
            transport = await loop.start_tls(plain, protocol, self._context, server_hostname=host)
        except BaseException:
            plain.abort()
            raise
        if transport is None:
            raise Unreachable(f"{host}:{port} closed the connection during the TLS handshake.")
        protocol.connection_made(transport)
        return transport, protocol


class _Tunnel(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT; the server speaks only after our TLS hello."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Collect until the head is whole."""
        self._data += data
        if self.head.done():
            return
        try:
            if head_length(self._data):
                self.head.set_result(self._data)
        except HandshakeError as error:
            self.head.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy left."""
        if not self.head.done():
            self.head.set_exception(exc or EOFError("the proxy closed the connection"))


def _proxy_headers(parts: SplitResult, host: str, port: int) -> list[tuple[str, str]]:
    headers = [("Host", f"{host}:{port}")]
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers.append(("Proxy-Authorization", "Basic " + base64.b64encode(secret).decode()))
    return headers


def _explain(where: str, error: Exception) -> Unreachable:
    """Name the step that failed: names, TCP, trust or TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(f"The certificate of {where} is not trusted: {error.verify_message}.")
    if isinstance(error, ssl.SSLError):
        return Unreachable(f"{where} does not speak TLS as it should: {error.reason or error}.")
    if isinstance(error, socket.gaierror):
        return Unreachable(f"The name of {where} cannot be resolved: {error.strerror or error}.")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{where} did not answer within {DIAL_SECONDS:g} seconds.")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(f"{where} refused the connection; nothing listens there.")
    detail = error.strerror if isinstance(error, OSError) and error.strerror else error
    return Unreachable(f"No connection to {where}: {detail}.")
