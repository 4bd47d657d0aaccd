"""Download a package over https or http, by the machine's proxy, to a file of bounded size."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from landbridge_agent.proxies import Proxy
from landbridge_agent.redaction import without_secrets
from landbridge_agent.version import AGENT_VERSION

CONNECT_SECONDS = 60.0

Download = Callable[[str, Path, int], None]
"""``(uri, target, most bytes)``; raises NotDownloaded."""


class NotDownloaded(Exception):
    """It did not come; the text says why, without what may be secret in the URL."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, but never from https to http."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise NotDownloaded("it leads from https to something else.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def downloader(proxy: Proxy, context: ssl.SSLContext) -> Download:
    """Return a function that downloads."""

    def download(uri: str, target: Path, most: int) -> None:
        try:
            parts = urlsplit(uri)
            host = parts.hostname or ""
        except ValueError:
            raise NotDownloaded("its contentUri is not a URL.") from None
        if parts.scheme not in ("https", "http") or not host:
            raise NotDownloaded("its contentUri must be an https:// or http:// URL.")
        opener = urllib.request.OpenerDirector()
        url = proxy.url if "://" in proxy.url else f"http://{proxy.url}"
        through = {"http": url, "https": url} if proxy.serves(host) else {}
        for handler in (
            urllib.request.ProxyHandler(through),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(),
        ):
            opener.add_handler(handler)
        request = urllib.request.Request(uri, headers={"User-Agent": f"gc/{AGENT_VERSION}"})  # noqa: S310
        _fetch(opener, request, host, target, most)

    return download


def _fetch(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    host: str,
    target: Path,
    most: int,
) -> None:
    try:
        with opener.open(request, timeout=CONNECT_SECONDS) as answer, target.open("wb") as file:
            left = most
            while piece := answer.read(64 * 1024):
                left -= len(piece)
                if left < 0:
                    raise NotDownloaded(f"it is larger than {most // 1024 // 1024} MB.")
                file.write(piece)
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) != most - left:
                raise NotDownloaded(f"{host} broke off in the middle.")
    except urllib.error.HTTPError as error:
        with error:
            raise NotDownloaded(f"{host} answered {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise NotDownloaded(without_secrets(f"{host}: {reason}.")) from error
