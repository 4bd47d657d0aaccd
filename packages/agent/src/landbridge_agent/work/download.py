"""Downloads a file that a resource names, such as a run command's ``scriptUri``: bounded, verified TLS.

Only workers import this. The machine's token goes nowhere; an address may carry a shared access
signature, so no text that is made here repeats its query.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from landbridge_agent.proxies import Proxy
from landbridge_agent.version import AGENT_VERSION

ATTEMPTS = 4
PAUSES = (1.0, 3.0, 9.0)
SECONDS = 60.0
"""How long one step of a transfer may take."""

CHUNK = 64 * 1024
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The statuses after which it is tried again."""


class DownloadFailed(Exception):
    """It could not be downloaded; the text says what and why."""


def shown(uri: str) -> str:
    """Return an address without what may be a secret in it: user, password, query."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:512]


def opener(uri: str, proxy: Proxy, context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """Return what opens an address by the way that the machine's configuration has for its host."""
    host = urlsplit(uri).hostname or ""
    ways = {"http": proxy.url, "https": proxy.url} if proxy.serves(host) else {}
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(ways), urllib.request.HTTPSHandler(context=context)
    )


def context_with(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the system's store, and the cloud's CA besides."""
    context = ssl.create_default_context()
    if ca_file and Path(ca_file).is_file():
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError):
            pass  # then only the store is trusted
    return context


def fetch(
    uri: str,
    limit: int,
    proxy: Proxy,
    context: ssl.SSLContext,
    is_canceled: Callable[[], bool] = lambda: False,
    pause: Callable[[float], None] = time.sleep,
) -> bytes:
    """Return what lies at an http or https address, at most ``limit`` bytes. Redirects are followed.

    Raises:
        DownloadFailed: it did not come, in several attempts where that may help.
    """
    if urlsplit(uri).scheme.lower() not in ("http", "https"):
        raise DownloadFailed(f"{shown(uri)} is no http or https address.")
    for attempt in range(ATTEMPTS):
        try:
            return _once(uri, limit, opener(uri, proxy, context))
        except urllib.error.HTTPError as error:
            why, again = f"it answered {error.code} {error.reason}", error.code in PASSING
            error.close()
        except (ValueError, http.client.HTTPException) as error:  # its text may repeat the address
            why, again = type(error).__name__, not isinstance(error, ValueError | http.client.InvalidURL)
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            why, again = (
                str(reason) or type(reason).__name__,
                not isinstance(reason, ssl.SSLCertVerificationError),
            )
        if not again or attempt == len(PAUSES) or is_canceled():
            break
        pause(PAUSES[attempt])
    raise DownloadFailed(f"{shown(uri)} could not be downloaded: {why}.")


def _once(uri: str, limit: int, way: urllib.request.OpenerDirector) -> bytes:
    asked = urllib.request.Request(uri, headers={"User-Agent": f"azcmagent/{AGENT_VERSION}"})  # noqa: S310
    parts = bytearray()
    with way.open(asked, timeout=SECONDS) as answer:
        while piece := answer.read(CHUNK):
            parts += piece
            if len(parts) > limit:
                raise DownloadFailed(f"{shown(uri)} is larger than {limit} bytes.")
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != len(parts):
            raise OSError(f"the transfer ended after {len(parts)} of {length} bytes")
    return bytes(parts)
