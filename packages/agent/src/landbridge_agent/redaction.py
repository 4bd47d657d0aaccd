"""Keeps credentials out of what people see: logs, ``show``, archives."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")

_SECRETS = (
    # A signed JSON Web Token, an access token or an assertion: header, claims and signature.
    re.compile(r"\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*"),
    # What follows the scheme in Authorization and Proxy-Authorization (RFC 7617, RFC 6750).
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}|(?<=\bbasic )(?!realm=)[\w.~+/=-]{8,}"),
    # A shared access signature, and parameters of a form or a query that hold a secret.
    re.compile(
        r"(?i)(?<=\bsig=)[^&\s\"]+|(?<=\bclient_secret=)[^&\s\"]+|(?<=\bclient_assertion=)[^&\s\"]+"
        r"|(?<=\bpassword=)[^&\s\"]+|(?<=\brefresh_token=)[^&\s\"]+|(?<=\baccess_token=)[^&\s\"]+"
    ),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
)


def without_credentials(text: str) -> str:
    """Return a text with user and password of every URL in it masked."""
    return _USERINFO.sub("***@", text)


def without_secrets(text: str) -> str:
    """Return a text for a log: no passwords of URLs, tokens, signatures, private keys.

    It is the last guard. Whoever writes a log does not give it secrets in the first place.
    """
    for pattern in _SECRETS:
        text = pattern.sub("***", text)
    return without_credentials(text)
