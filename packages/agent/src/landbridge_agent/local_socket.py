"""Both ends of himdsd's local socket: one JSON line asks, one JSON line answers.

On Linux the socket is 0600 in a 0700 folder, so the kernel says who may ask (``platform`` has both
ends for each system). It is reached through
``/proc/self/fd`` because a socket's path is limited to 107 bytes, and a state folder's is not.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from landbridge_agent.platform import here

STATUS = "status"
"""Ask for what ``azcmagent show`` prints about the daemon."""

RELOAD = "reload"
"""Say that a file has changed: ``agentconfig.json`` or ``localconfig.json``."""

WAIT = "wait"
"""Ask for news about work: ``{"command": "wait", "seen": WORD}`` is answered with ``{"news": WORD}`` as
soon as the word is another one, at the latest after ``WAIT_SECONDS``. For ``extd``."""

WAIT_SECONDS = 240.0
TIMEOUT = 3.0
MAX_LINE = 64 * 1024


class NotAnswering(Exception):
    """No daemon answers; the text says why."""


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a short name for ``path`` that is valid within the block."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(path: Path, command: str) -> dict[str, object]:
    """Send a command to the daemon and return its answer.

    Raises:
        NotAnswering: nobody listens, this user may not ask, or no answer came in time.
    """
    try:
        client, proof = here().knock(path, TIMEOUT)
        with client:
            client.sendall(json.dumps({"command": command, **proof}).encode() + b"\n")
            data = bytearray()
            while not data.endswith(b"\n") and len(data) < MAX_LINE:
                chunk = client.recv(4096)
                if not chunk:
                    break
                data += chunk
    except PermissionError:
        raise NotAnswering("only root may ask himdsd for its state") from None
    except OSError as error:
        raise NotAnswering(f"himdsd is not running ({error.strerror or error})") from error
    try:
        answer = json.loads(data)
    except ValueError:
        raise NotAnswering("himdsd gave no answer") from None
    if not isinstance(answer, dict):
        raise NotAnswering("himdsd gave no answer")
    return answer
