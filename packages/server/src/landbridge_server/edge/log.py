"""The log of the control plane: one JSON object a line on standard error.

Queries are never logged (they may carry tokens), nor are headers or bodies.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from starlette.types import Scope

logger = logging.getLogger("landbridge")


_encode = msgspec.json.Encoder(enc_hook=str).encode


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class JsonFormatter(logging.Formatter):
    """Write time, level, event and the fields that the call brought along."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        line: dict[str, object] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03}+00:00",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and isinstance(record.exc_info[1], BaseException):
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return _encode(line).decode()


def configure(level: str) -> None:
    """Send everything at ``level`` and above to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _fields(scope: Scope) -> dict[str, object]:
    fields: dict[str, object] = {
        "requestId": scope.get("landbridge.request_id", ""),
        "method": scope.get("method", ""),
        "path": scope.get("landbridge.path", scope.get("path", "")),
    }
    for name in ("caller", "error"):
        if value := scope.get(f"landbridge.{name}"):
            fields[name] = value
    return fields


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log one answered request; refusals of the server's own making are warnings."""
    level = logging.WARNING if status >= 500 else logging.INFO
    if not logger.isEnabledFor(level):
        return
    fields = _fields(scope) | {"status": status, "ms": round(seconds * 1000, 1)}
    # Made without the search for the line of code that logs: it is this one, thousands of times a second.
    record = logger.makeRecord(logger.name, level, __file__, 0, "request", (), None, extra={"fields": fields})
    logger.handle(record)


def log_failure(scope: Scope, error: BaseException) -> None:
    """Log an error of our own with its traceback; the caller sees only the request id."""
    scope["landbridge.error"] = f"{type(error).__name__}"
    logger.error("failure", exc_info=error, extra={"fields": _fields(scope)})
