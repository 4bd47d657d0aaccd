"""The document of VM image aliases: short names for publisher, offer, SKU and version.

``az vm image list`` and ``az vm create --image ALIAS`` read it without a token. Every image
needs all five members for az 2.91; older documents have no ``architecture``, which is ``x64``.
"""

from __future__ import annotations

import json
from typing import Any

from landbridge_server.store import settings
from landbridge_server.store.database import Connection

SETTING = "image-aliases"
NEEDED = ("publisher", "offer", "sku", "version")
LIMIT = 1024 * 1024


class AliasError(ValueError):
    """A document cannot be used; the text says where and why."""


def document(systems: dict[str, Any]) -> dict[str, Any]:
    """Return what is served: the aliases of each system within the frame that az unwraps."""
    return {"outputs": {"aliases": {"type": "object", "value": systems}}}


def parse(content: bytes) -> dict[str, Any]:
    """Read an alias document and return its systems, every image whole.

    Raises:
        AliasError: it is not such a document, or an image lacks a member.
    """
    if len(content) > LIMIT:
        raise AliasError(f"The document has {len(content)} bytes; at most {LIMIT} are served.")
    try:
        systems = json.loads(content)["outputs"]["aliases"]["value"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AliasError("This is no JSON document with outputs.aliases.value.") from error
    if not isinstance(systems, dict):
        raise AliasError("outputs.aliases.value is an object with 'Linux' and 'Windows'.")
    return {system: _images(system, images) for system, images in systems.items()}


def _images(system: str, images: object) -> dict[str, Any]:
    if system not in ("Linux", "Windows") or not isinstance(images, dict):
        raise AliasError(f"'{system}' is not 'Linux' or 'Windows' with an object of aliases.")
    return {alias: _image(f"{system}.{alias}", image) for alias, image in images.items()}


def _image(where: str, image: object) -> dict[str, str]:
    whole = {"architecture": "x64"} | image if isinstance(image, dict) else {}
    for name in (*NEEDED, "architecture"):
        if not isinstance(whole.get(name), str) or not whole[name]:
            raise AliasError(f"{where} needs {name} as a text.")
    return {name: whole[name] for name in (*NEEDED, "architecture")}


def read(connection: Connection) -> dict[str, Any]:
    """Return the document that is served; without aliases when none were set."""
    saved = settings.get(connection, SETTING)
    return document(json.loads(saved) if saved else {"Linux": {}, "Windows": {}})


def replace(connection: Connection, systems: dict[str, Any]) -> None:
    """Serve these from now on."""
    settings.put(connection, SETTING, json.dumps(systems))
