"""Azure Relay Hybrid Connections without I/O: addresses, refusals and control messages.

The listener's life (dial, keep alive, renew, back off) is ``landbridge_wire.listener``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

PREFIX = "/$hc/"
"""Path prefix of the WebSocket side of Hybrid Connections."""

LISTEN, CONNECT, ACCEPT, REQUEST = "listen", "connect", "accept", "request"
"""Values of ``sb-hc-action``."""

TOKEN_HEADER = "ServiceBusAuthorization"  # noqa: S105 - the name of a header
CONFIGURATION_HEADER = "Service-Configuration-Token"
TARGET_HEADER = "Microsoft-Guestgateway-Target"
"""Headers of a sender; the last two reach the listener in ``connectHeaders``."""

MAX_CONTROL_TEXT = 64 * 1024
"""The longest text message on a control channel, in bytes."""

HEARTBEAT, HEARTBEAT_REPLY = "heartbeat", "heartbeatReply"
"""Our additions to the control channel. Foreign listeners ignore messages they do not know."""

RENDEZVOUS_SECONDS = 30
"""How long the address of an ``accept`` may be dialled."""


class MalformedMessage(ValueError):
    """A control message is not what the protocol says; the text says what is wrong."""


# -- addresses ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """The request target of a Hybrid Connections address, taken apart.

    ``path`` is the decoded path without ``/$hc/``; ``query`` what the sender added of its
    own, still encoded, without any ``sb-hc-`` parameter.
    """

    path: str
    action: str = ""
    id: str = ""
    token: str = ""
    status_code: int | None = None
    status_description: str = ""
    query: str = ""


def parse_target(target: str) -> Target:
    """Read a request target such as ``/$hc/name?sb-hc-action=connect&sb-hc-id=1``.

    Lenient where clients are: a parameter without ``=`` is kept as the sender's own
    (hyco-ws writes ``?null&sb-hc-token=``), names are compared without case, and a refusal
    may say ``statusCode`` without its prefix, as hyco-ws 1.x does.

    Raises:
        MalformedMessage: the path does not begin with ``/$hc/``, or a status is no number.
    """
    raw_path, _, query = target.partition("?")
    if not raw_path.lower().startswith(PREFIX) and not raw_path.lower().startswith("/%24hc/"):
        raise MalformedMessage("The path does not begin with /$hc/.")
    found: dict[str, str] = {}
    own = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        key = unquote(name).lower()
        if key.startswith("sb-hc-"):
            found.setdefault(key[6:], _token_text(value) if key == "sb-hc-token" else unquote_plus(value))
        elif key in ("statuscode", "statusdescription"):
            found.setdefault(key, unquote_plus(value))
            own.append(part)
        elif part:
            own.append(part)
    refusing = found.get("action") == ACCEPT
    status = found.get("statuscode") if refusing else None
    if status is not None and not (status.isascii() and status.isdigit() and len(status) == 3):
        raise MalformedMessage("sb-hc-statusCode is not a status.")
    return Target(
        path=unquote(raw_path.split("/", 2)[2]),
        action=found.get("action", "").lower(),
        id=found.get("id", ""),
        token=found.get("token", ""),
        status_code=int(status) if status is not None else None,
        status_description=found.get("statusdescription", "") if refusing else "",
        query="&".join(own),
    )


def _token_text(value: str) -> str:
    """Decode a token in a query; a '+' in it is base64's, unless it is the blank of the scheme."""
    text = unquote(value)
    return text.replace("+", " ", 1) if text.startswith("SharedAccessSignature+") else text


def address(base: str, path: str, action: str, id: str, query: str = "") -> str:
    """Return ``base/$hc/path?own-query&sb-hc-action=...&sb-hc-id=...``; base as ``wss://host:port``."""
    own = query + "&" if query else ""
    return f"{base}{PREFIX}{quote(path)}?{own}sb-hc-action={action}&sb-hc-id={quote(id, safe='')}"


def refusal(accept_address: str, status: int, description: str) -> str:
    """Return what a listener dials to reject an ``accept``; the relay answers it with 410."""
    text = quote(description, safe="")
    return f"{accept_address}&sb-hc-statusCode={status}&sb-hc-statusDescription={text}"


# -- what refusals say -------------------------------------------------------------------


def tracking(tracking_id: str, system: str, timestamp: str) -> str:
    """Return the tail that Azure Relay puts behind every reason text."""
    return f"TrackingId:{tracking_id}, SystemTracker:{system}, Timestamp:{timestamp}"


ENDPOINT_DOES_NOT_EXIST = "Endpoint does not exist."
"""How the reason of a 404 begins, byte for byte: ``az ssh`` looks for it and then retries."""

MISSING_TOKEN = "MissingToken: The token is missing; send it in the ServiceBusAuthorization header."  # noqa: S105
INVALID_SIGNATURE = "InvalidSignature: The token has an invalid signature."
MALFORMED_TOKEN = "MalformedToken: The token is not a SharedAccessSignature."  # noqa: S105
EXPIRED_TOKEN = "ExpiredToken: The token has expired; ask for new credentials."  # noqa: S105
INVALID_AUDIENCE = "InvalidAudience: The token is for another hybrid connection."
UNAUTHORIZED_LISTEN = "Unauthorized access. 'Listen' claim(s) are required to perform this operation."
UNAUTHORIZED_SEND = "Unauthorized access. 'Send' claim(s) are required to perform this operation."


# -- control messages --------------------------------------------------------------------


def accept_message(
    rendezvous: str, id: str, headers: dict[str, str], remote: tuple[str, int] | None = None
) -> str:
    """Return the text that tells a listener of a sender."""
    body: dict[str, Any] = {"address": rendezvous, "id": id, "connectHeaders": headers}
    if remote is not None:
        body["remoteEndpoint"] = {"address": remote[0], "port": remote[1]}
    return json.dumps({"accept": body})


def renew_token_message(token: str) -> str:
    """Return the text with which a listener prolongs its stay."""
    return json.dumps({"renewToken": {"token": token}})


def heartbeat_message(body: dict[str, Any]) -> str:
    """Return our heartbeat, an ``agent_api.Heartbeat`` as JSON."""
    return json.dumps({HEARTBEAT: body})


def heartbeat_reply_message(body: dict[str, Any]) -> str:
    """Return the answer to a heartbeat, an ``agent_api.HeartbeatReply`` as JSON."""
    return json.dumps({HEARTBEAT_REPLY: body})


def parse_control(text: str) -> tuple[str, dict[str, Any]]:
    """Return kind and body of a control message.

    Raises:
        MalformedMessage: not a JSON object with an object inside, or nested too deep.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedMessage("A control message is not JSON.") from None
    if not isinstance(message, dict) or not message:
        raise MalformedMessage("A control message is not a JSON object.")
    kind, body = next(iter(message.items()))
    if not isinstance(body, dict):
        raise MalformedMessage(f"The body of '{kind}' is not a JSON object.")
    return kind, body
