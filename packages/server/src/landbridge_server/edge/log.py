"""The log of the control plane on standard error: one JSON object a line, or text for people.

Everything that this process says while it serves goes through here: answered requests, what our
own code and the libraries report, failures of the event loop, of threads and of nobody. Queries
are never logged (they may carry tokens), nor are headers or bodies.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import msgspec
from starlette.types import Scope

logger = logging.getLogger("landbridge")

JSON, TEXT = "json", "text"
FORMATS = (JSON, TEXT)

answering: ContextVar[Scope | None] = ContextVar("landbridge_answering", default=None)
"""The request that is being answered: what is said meanwhile is said with its ids."""

_encode = msgspec.json.Encoder(enc_hook=str).encode

Line = dict[str, object]


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _line(created: float, level: str, event: str, fields: Line) -> Line:
    seconds = int(created)
    when = f"{_second(seconds)}.{int((created - seconds) * 1000):03}+00:00"
    return {"time": when, "level": level, "event": event, **fields}


def _as_text(line: Line) -> bytes:
    """Return a line for people: time, level, event, then ``name=value``; what has blanks in quotes."""
    time_, level, event, *rest = line.items()
    words = [str(time_[1]), str(level[1]).upper().ljust(7), str(event[1])]
    words += [f"{name}={_word(value)}" for name, value in rest]
    return " ".join(words).encode(errors="backslashreplace")


def _word(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and not set(text) & set(' "=') else _encode(text).decode()


WRITERS: dict[str, Callable[[Line], bytes]] = {JSON: _encode, TEXT: _as_text}


class LineFormatter(logging.Formatter):
    """Write time, level, event and the fields that the call brought along, or those of its request."""

    def __init__(self, write: Callable[[Line], bytes]) -> None:
        """Take what makes a line of bytes of its members."""
        super().__init__()
        self.write = write

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        scope = answering.get()
        fields = (_ids(scope) if scope is not None else {}) | getattr(record, "fields", {})
        line = _line(record.created, record.levelname.lower(), record.getMessage(), fields)
        if record.exc_info and isinstance(record.exc_info[1], BaseException):
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return self.write(line).decode()


class Lines(logging.StreamHandler[TextIO]):
    """Writes records at once, and the lines of answered requests with the loop's next turn."""

    def __init__(self, stream: TextIO, write: Callable[[Line], bytes]) -> None:
        """Write to ``stream`` what ``write`` makes of a line."""
        super().__init__(stream)
        self.write = write
        self.setFormatter(LineFormatter(write))
        self._waiting: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Take the line of a request. Called on the event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.catch_up)
        self._waiting.append(line)

    def catch_up(self) -> None:
        """Write what waits."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            with suppress(OSError, ValueError):  # nobody reads the log any more: serving goes on
                self.stream.write(b"\n".join(lines).decode() + "\n")
                self.stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after the requests that came before it."""
        self.catch_up()
        super().emit(record)


_installed: list[Lines] = []


def configure(level: str, form: str = JSON) -> None:
    """Send everything at ``level`` and above to standard error, in one of ``FORMATS``."""
    handler = Lines(sys.stderr, WRITERS[form])
    _installed[:] = [handler]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _log_uncaught("the process ends", error)
    sys.unraisablehook = lambda unraisable: _log_uncaught("in a finalizer", unraisable.exc_value)
    threading.excepthook = lambda failed: _log_uncaught("in a thread", failed.exc_value)


def _log_uncaught(where: str, error: BaseException | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        return
    logger.error("failure", exc_info=error, extra={"fields": {"reason": where}})


def _ids(scope: Scope) -> Line:
    return {
        "requestId": scope.get("landbridge.request_id", ""),
        "correlationId": scope.get("landbridge.correlation_id", ""),
        "address": (scope.get("client") or ("",))[0],
    }


def _fields(scope: Scope) -> Line:
    fields = _ids(scope)
    fields["method"] = scope.get("method", "")
    fields["path"] = scope.get("landbridge.path", scope.get("path", ""))
    for name in ("caller", "principal", "error"):
        if value := scope.get(f"landbridge.{name}"):
            fields[name] = value
    return fields


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log one answered request; refusals of the server's own making are warnings."""
    level = logging.WARNING if status >= 500 else logging.INFO
    if not logger.isEnabledFor(level):
        return
    fields = _fields(scope)
    fields["status"] = status
    fields["ms"] = round(seconds * 1000, 1)
    if _installed:  # without a record: there are thousands of these a second
        now = time.time()  # noqa: TID251 - as logging itself does
        one = _installed[0]
        one.add(one.write(_line(now, logging.getLevelName(level).lower(), "request", fields)))
    else:
        logger.log(level, "request", extra={"fields": fields})


def log_failure(scope: Scope, error: BaseException) -> None:
    """Log an error of our own with its traceback; the caller sees only the request id."""
    scope["landbridge.error"] = f"{type(error).__name__}"
    logger.error("failure", exc_info=error, extra={"fields": _fields(scope)})


def log_loop_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop has nobody to tell of.

    That a stranger's connection ended badly is no error of ours: a scanner of ports, or a health
    check without TLS, would fill the log. aiofastnet gives the class of an error, too.
    """
    error = context.get("exception")
    kind = error if isinstance(error, type) else type(error)
    fields = {"reason": str(context.get("message", "")), "kind": kind.__name__}
    if issubclass(kind, (ConnectionError, TimeoutError, ssl.SSLError)):
        logger.debug("a connection ended badly", extra={"fields": fields})
        return
    known = error if isinstance(error, BaseException) else None
    logger.error("failure", exc_info=known, extra={"fields": fields})
