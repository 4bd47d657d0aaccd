"""Open a TLS connection to the control plane: trust, proxy, and errors that say what failed.

Trust is a CA file, or the system's store (with ``SSL_CERT_FILE``, which OpenSSL reads
itself); a certificate is never trusted because it was seen first.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from landbridge_agent.proxies import NO_PROXY as NO_PROXY
from landbridge_agent.proxies import Proxy as Proxy
from landbridge_agent.proxies import proxy_from as proxy_from
from landbridge_wire.upgrade import HandshakeError, build_head, head_length, parse_head

P = TypeVar("P", bound=asyncio.BaseProtocol)

DIAL_SECONDS = 15.0
"""How long name resolution, proxy, TCP and TLS may take together."""


class Unreachable(Exception):
    """No TLS connection to the control plane came about; the text says why."""


class Untrusted(Unreachable):
    """The control plane's certificate is not one that this machine trusts."""


class ProxyRefused(Unreachable):
    """The proxy cannot be reached, or does not let us through; ``remedy`` says what to do."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


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


def trust_text(pem: str) -> ssl.SSLContext:
    """Return a client context that trusts these certificates alone.

    Raises:
        Untrusted: there is none among them, or one cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise Untrusted(f"These certificates cannot be used: {error}.") from error
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
    """Opens TLS connections with one trust, and with the proxy that is current when one is opened."""

    def __init__(self, context: ssl.SSLContext, proxy: Proxy = NO_PROXY) -> None:
        self._context = context
        self.proxy = proxy

    def use(self, context: ssl.SSLContext) -> None:
        """Trust what this context does from the next connection on."""
        self._context = context

    async def open(self, url: str, make: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to the host of ``url`` and hand its TLS stream to ``make()``.

        Raises:
            Unreachable: it did not come about within ``DIAL_SECONDS``.
        """
        parts = split_https(url)
        host, port = str(parts.hostname), parts.port or 443
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                if self.proxy.serves(host):
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
        proxy = self.proxy
        plain, tunnel = await _dial_proxy(proxy)
        try:
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            headers = [("Host", target), *proxy.headers]
            plain.write(build_head(f"CONNECT {target} HTTP/1.1", headers))
            try:
                answer = parse_head(await tunnel.head)
                status = answer.status
            except (HandshakeError, EOFError, OSError) as error:
                remedy = (
                    "Check proxy.url: azcmagent config get proxy.url; what listens there may be no proxy."
                )
                raise ProxyRefused(f"The proxy {proxy.where} gave no answer: {error}.", remedy) from error
            if status != 200:
                raise _refused_by(proxy, target, status, answer.reason)
            protocol = make()
            transport = await loop.start_tls(plain, protocol, self._context, server_hostname=host)
        except BaseException:
            plain.abort()
            raise
        if transport is None:
            raise Unreachable(f"{host}:{port} closed the connection during the TLS handshake.")
        protocol.connection_made(transport)
        return transport, protocol


async def _dial_proxy(proxy: Proxy) -> tuple[asyncio.Transport, _Tunnel]:
    loop = asyncio.get_running_loop()
    try:
        host, port = proxy.address
    except ValueError as error:
        remedy = "Set it: azcmagent config set proxy.url http://PROXY:PORT, or mend HTTPS_PROXY."
        raise ProxyRefused(str(error), remedy) from None
    try:
        return await loop.create_connection(_Tunnel, host, port)
    except OSError as error:
        detail = f"the proxy of this machine: {_explain(proxy.where, error)}"
        remedy = "Check proxy.url and HTTPS_PROXY, or clear it: azcmagent config clear proxy.url."
        raise ProxyRefused(f"No connection through {detail}", remedy) from error


def _refused_by(proxy: Proxy, target: str, status: int, reason: str) -> ProxyRefused:
    """Return why, without the credentials."""
    text = f"The proxy {proxy.where} refused to connect to {target}: {status} {reason[:80]}."
    if status == 407:
        remedy = (
            "Its user name or password is missing or wrong: "
            "azcmagent config set proxy.url http://USER:PASSWORD@PROXY:PORT."
        )
        return ProxyRefused(text, remedy)
    remedy = (
        "Ask whoever runs the proxy to allow it, or go past it: azcmagent config set proxy.bypass NAME --add."
    )
    return ProxyRefused(text, remedy)


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
