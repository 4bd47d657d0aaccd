"""Writes a run command's output into an append blob, by the shared access signature in its address.

Two requests of Azure Storage's REST API: ``Put Blob`` with ``x-ms-blob-type: AppendBlob`` and
``Append Block``. Only workers import this.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from landbridge_agent.proxies import Proxy
from landbridge_agent.work.download import SECONDS, opener, shown

VERSION = "2020-10-02"
BLOCK = 4 * 1024 * 1024
"""The most bytes that one ``Append Block`` takes."""


class BlobFailed(Exception):
    """The blob could not be written; the text says why."""


def create(uri: str, proxy: Proxy, context: ssl.SSLContext) -> None:
    """Make the blob, empty; one that is there is replaced.

    Raises:
        BlobFailed: it cannot be written.
    """
    _put(uri, "", b"", {"x-ms-blob-type": "AppendBlob"}, proxy, context)


def append(uri: str, file: Path, proxy: Proxy, context: ssl.SSLContext) -> None:
    """Append what is in a file.

    Raises:
        BlobFailed: it cannot be written. OSError: the file cannot be read.
    """
    with file.open("rb") as source:
        while piece := source.read(BLOCK):
            _put(uri, "comp=appendblock", piece, {}, proxy, context)


def _put(
    uri: str, query: str, body: bytes, headers: dict[str, str], proxy: Proxy, context: ssl.SSLContext
) -> None:
    parts = urlsplit(uri)
    if parts.scheme.lower() not in ("http", "https"):
        raise BlobFailed(f"{shown(uri)} is no http or https address.")
    target = uri + (("&" if parts.query else "?") + query if query else "")
    asked = urllib.request.Request(  # noqa: S310
        target,
        data=body,
        method="PUT",
        headers={"x-ms-version": VERSION, "Content-Type": "application/octet-stream", **headers},
    )
    try:
        with opener(uri, proxy, context).open(asked, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise BlobFailed(f"{shown(uri)} could not be written: {error.code} {error.reason}.") from error
    except OSError as error:
        raise BlobFailed(f"{shown(uri)} could not be written: {error}.") from error
    except (ValueError, http.client.HTTPException) as error:  # its text may repeat the address
        raise BlobFailed(f"{shown(uri)} could not be written: {type(error).__name__}.") from error
