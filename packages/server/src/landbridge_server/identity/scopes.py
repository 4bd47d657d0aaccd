"""What a token is asked for: v2 ``scope`` and v1 ``resource`` (contracts of az and of the SDKs).

A resource scope is ``<audience>/<permission>``. The audience is what is left when exactly
one ``/.default`` is cut off, so ``https://x//.default`` asks for ``https://x/``; the token's
``aud`` is that text, unchanged. Whether the cloud knows the audience is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from landbridge_server.identity.errors import OAuthError, refuse

OPENID_WORDS = frozenset({"openid", "profile", "email", "offline_access"})
PERMISSIONS = ("/.default", "/user_impersonation")
LIMIT = 4096


@dataclass(frozen=True)
class Scope:
    """A request for a token: for one audience, or for none but the identity itself."""

    audience: str
    resource_scopes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def openid(self) -> bool:
        """Whether an id_token was asked for."""
        return "openid" in self.words

    @property
    def offline(self) -> bool:
        """Whether a refresh token was asked for."""
        return "offline_access" in self.words

    @property
    def granted(self) -> str:
        """The text to answer: msal caches the access token under exactly these scopes."""
        return " ".join(self.resource_scopes or self.words)

    @property
    def text(self) -> str:
        """The whole request as one text that ``parse`` reads again."""
        return " ".join((*self.resource_scopes, *self.words))


def _invalid(reason: str) -> OAuthError:
    return refuse(70011, reason=reason)


def _audience(scope: str) -> str:
    for permission in PERMISSIONS:
        if scope.endswith(permission):
            return scope[: -len(permission)]
    raise _invalid(f"The scope '{scope[:200]}' must be '<resource>/.default'.")


def parse(text: str) -> Scope:
    """Read the value of ``scope``.

    Raises:
        OAuthError: 70011, it is empty, names more than one resource, or a scope that is
            neither an OpenID word nor ``<resource>/.default``.
    """
    if len(text) > LIMIT:
        raise _invalid(f"It is longer than {LIMIT} characters.")
    words, resource_scopes, audiences = [], [], []
    for scope in dict.fromkeys(text.split()):
        if scope in OPENID_WORDS:
            words.append(scope)
            continue
        audience = _audience(scope)
        if not audience:
            raise _invalid(f"The scope '{scope[:200]}' names no resource.")
        resource_scopes.append(scope)
        audiences.append(audience)
    if not words and not resource_scopes:
        raise _invalid("It is empty.")
    if len(set(audiences)) > 1:
        raise _invalid("It names more than one resource; ask for one token after the other.")
    return Scope(audiences[0] if audiences else "", tuple(resource_scopes), tuple(words))


def parse_resource(text: str) -> Scope:
    """Read the value of v1's ``resource``: the audience itself.

    v1 knows no scopes: a user's sign-in always brings an id_token and a refresh token.

    Raises:
        OAuthError: 70011, it holds a space or is too long.
    """
    if len(text) > LIMIT or len(text.split()) != 1 or text != text.strip():
        raise _invalid("The parameter 'resource' must be one resource.")
    return Scope(text, (text + "/.default",), ("openid", "profile", "offline_access"))
