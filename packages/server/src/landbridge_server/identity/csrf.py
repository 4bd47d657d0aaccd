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

    def voucher(self, cookie: str, text: str, ends: float) -> str:
        """Return a note to ourselves that the holder of ``cookie`` brings back in a form, until ``ends``."""
        content = f"{int(ends)}.{text}"
        return f"{content}.{self._mac(cookie, content)}"

    def vouched(self, unverified_cookie: str, unverified_voucher: str, now: float) -> str | None:
        """Return the text of a voucher that this browser was given and that has not ended."""
        content, _, mac = unverified_voucher.rpartition(".")
        expected = self._mac(unverified_cookie, content).encode()
        if not hmac.compare_digest(expected, mac.encode("utf-8", "surrogatepass")):
            return None
        ends, _, text = content.partition(".")
        return text if now < int(ends) else None

    def _mac(self, cookie: str, content: str) -> str:
        message = f"voucher\0{cookie}\0{content}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def good(self, unverified_cookie: str, unverified_token: str) -> bool:
        """Say whether a form came from a page that was shown to the same browser."""
        if self.cookie(unverified_cookie) != unverified_cookie:
            return False
        expected = self.token(unverified_cookie).encode()
        return hmac.compare_digest(expected, unverified_token.encode("utf-8", "surrogatepass"))
