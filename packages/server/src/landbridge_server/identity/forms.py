"""Forms as OAuth sends them: read strictly, bounded, without a web framework.

RFC 6749 section 3.2: a parameter without a value counts as not sent, and one that is sent
twice is an error.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from landbridge_server.identity.errors import OAuthError, refuse

LIMIT = 64 * 1024
FIELDS = 64
CONTENT_TYPE = "application/x-www-form-urlencoded"


def too_large() -> OAuthError:
    """Return the refusal of a body that is larger than ``LIMIT`` bytes."""
    return refuse(9002313, reason=f"The body is larger than {LIMIT} bytes.", status=413)


def parse(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parameters of a form.

    Raises:
        OAuthError: another content type, not a form, not UTF-8, too many fields, or a
            parameter twice.
    """
    if not body.strip():
        return {}  # whatever it is called: what is missing makes the clearer refusal
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise refuse(9002313, reason=f"The body must be sent as '{CONTENT_TYPE}'.", status=400)
    if len(body) > LIMIT:
        raise too_large()
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS,
        )
    except ValueError as error:
        raise refuse(9002313, reason="The body is not a form of at most 64 fields in UTF-8.") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if "\0" in value:
            raise refuse(9002313, reason=f"The parameter '{name[:100]}' holds NUL.")
        if name in found:
            raise refuse(90100, name=name[:100])
        found[name] = value
    return {name: value for name, value in found.items() if value}


def need(form: Mapping[str, str], name: str) -> str:
    """Return a parameter.

    Raises:
        OAuthError: 900144, it was not sent.
    """
    value = form.get(name)
    if value is None:
        raise refuse(900144, name=name)
    return value


def with_basic(form: dict[str, str], authorization: str) -> dict[str, str]:
    """Return the form with the client's id and secret from HTTP Basic (RFC 6749 section 2.3.1).

    Raises:
        OAuthError: the header is not Basic, is malformed, or the form brings a secret as well.
    """
    if not authorization.strip():
        return form
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        raise refuse(9002313, reason="The Authorization header must be of the scheme Basic here.")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = text.partition(":")
        client_id, secret = (unquote_plus(part, errors="strict") for part in (client_id, secret))
    except (binascii.Error, ValueError) as error:
        raise refuse(9002313, reason="The Authorization header is malformed.") from error
    if not colon or not client_id or not secret or "\0" in client_id:
        raise refuse(9002313, reason="The Authorization header is malformed.")
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise refuse(9002313, reason="The client is given in the header and in the body.")
    return {**form, "client_id": client_id, "client_secret": secret}
