"""Download the files that a custom script names, over http or https, bounded in time and size.

The proxy of the environment is used, as handlers do. No credentials are sent: what needs some is named
with a signed URL. Redirects are followed to http and https only.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

MAX_BYTES = 1024**3
"""The largest file that is downloaded."""

TRIES = 3
SECONDS = 60.0
_CHUNK = 256 * 1024
_NAMES = frozenset({"", ".", ".."})


class DownloadFailed(Exception):
    """A file could not be had; the text names it without what may be secret in its URL."""


def file_name(url: str) -> str:
    """Return under which name a file is kept: the last part of the URL's path.

    Raises:
        DownloadFailed: it is no http or https URL, or has no such part.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise DownloadFailed(f"'{shown(url)}' in fileUris is not an http:// or https:// URL.")
    name = PurePosixPath(unquote(parts.path)).name
    if name in _NAMES or "\0" in name or len(os.fsencode(name)) > 200:
        raise DownloadFailed(f"'{shown(url)}' in fileUris names no file.")
    return name


def shown(url: str) -> str:
    """Return a URL without user and query, which often hold a signature."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]
    except ValueError:
        return "a URL that cannot be read"


def download(url: str, folder: Path, pause: Callable[[float], None], most: int = MAX_BYTES) -> Path:
    """Download one file into a folder and return where it is; it is executable for its owner.

    Raises:
        DownloadFailed: it could not be had in ``TRIES`` tries, or is larger than ``most`` bytes.
    """
    target = folder / file_name(url)
    why = ""
    for attempt in range(TRIES):
        if attempt:
            pause(2.0**attempt)
        try:
            return _fetch(url, target, most)
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}"
            error.close()
            if error.code < 500 and error.code not in (408, 429):
                break
        except (ValueError, http.client.HTTPException) as error:  # its text may repeat the URL
            why = type(error).__name__
        except (OSError, EOFError) as error:
            why = str(getattr(error, "reason", "") or error)
    raise DownloadFailed(f"{shown(url)} could not be downloaded: {why}.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another scheme, such as file or ftp."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError("it was redirected to what is no http or https URL")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str, target: Path, most: int) -> Path:
    target.unlink(missing_ok=True)
    opener = urllib.request.build_opener(_Redirects)
    request = urllib.request.Request(url, headers={"User-Agent": "CustomScript"})  # noqa: S310 - see file_name
    size = 0
    with opener.open(request, timeout=SECONDS) as answer, target.open("xb") as file:
        expected = answer.headers.get("Content-Length", "")
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > most:
                file.close()
                target.unlink()
                raise DownloadFailed(f"{shown(url)} has more than {most} bytes.")
            file.write(chunk)
    if expected.isdigit() and size != int(expected):
        raise EOFError("it was cut off")
    target.chmod(0o700)
    return target
