"""Forms that only our own pages can send: a token bound to a cookie of the browser.

The cookie is random, SameSite=Strict and of the ``__Host-`` kind, so that no other site
sends it and no other host sets it; the form's token is a MAC over it with a key of this
cloud, so that knowing or planting a cookie is not enough.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

COOKIE = "__Host-landbridge-page"
_SIZE = 43


class FormGuard:
    """Makes and checks the tokens of forms, which every node of the cloud takes."""

    def __init__(self, master: bytes) -> None:
        """Derive the key from a secret that the nodes share."""
        self._key = hmac.digest(master, b"landbridge.identity.forms", "sha256")

    def cookie(self, unverified_cookie: str) -> str:
        """Return the browser's cookie if it has a usable one, else a new one."""
        usable = len(unverified_cookie) == _SIZE and unverified_cookie.isascii()
        return unverified_cookie if usable else secrets.token_urlsafe(32)

    def token(self, cookie: str) -> str:
        """Return the token for a form that is shown to the holder of ``cookie``."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def good(self, unverified_cookie: str, unverified_token: str) -> bool:
        """Say whether a form came from a page that was shown to the same browser."""
        if self.cookie(unverified_cookie) != unverified_cookie:
            return False
        expected = self.token(unverified_cookie).encode()
        return hmac.compare_digest(expected, unverified_token.encode("utf-8", "surrogatepass"))
