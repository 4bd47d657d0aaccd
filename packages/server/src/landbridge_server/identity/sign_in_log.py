"""What is told of each sign-in, done or refused: to the activity log, and to whoever counts.

A sign-in is one request to the token endpoint that ended with a token or with a refusal of who
asked, or one wrong password or code on a page. Not told: polls of a device code that nobody has
approved yet, requests that are malformed, and refusals because the control plane is busy.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from landbridge_server.identity.errors import OAuthError
from landbridge_server.store.principals import Principal

UNTOLD = frozenset({70003, 70016, 50196, 90033, 90100, 900144, 9002313, 9002325})
"""AADSTS numbers of refusals that say nothing of who wants to sign in."""

PAGE = "page"
"""The grant of what is typed into a page: the program's own request follows once it was right."""

_NAME = re.compile(r"[^@\s]{1,254}@[^@\s]{1,254}")


class Asking(NamedTuple):
    """Where a request came from, and the ids under which it is found."""

    address: str = ""
    request_id: str = ""
    correlation_id: str = ""


_NOTHING = Asking()
asking: ContextVar[Asking] = ContextVar("landbridge_asking", default=_NOTHING)
"""The request that is being answered. ``http`` sets it."""


@dataclass(frozen=True)
class SignIn:
    """One sign-in. ``number`` is the AADSTS number of the refusal, 0 when it was done.

    ``label`` is the user principal name or the application id: as it was given, where it was
    refused. ``tenant_id`` is empty where no tenant of this cloud was meant.
    """

    number: int
    text: str
    grant: str
    client_id: str
    tenant_id: str
    label: str
    asking: Asking
    object_id: str = ""
    kind: str = ""
    audience: str = ""


OnSignIn = Callable[[SignIn], None]


def nobody_listens(_sign_in: SignIn) -> None:
    """Take no notice."""


def done(
    form: Mapping[str, str], principal: Principal, tenant_id: str, client_id: str, audience: str
) -> SignIn:
    """Return the sign-in of a principal that gets a token."""
    return SignIn(
        0,
        "",
        _grant(form),
        client_id,
        tenant_id,
        principal.label,
        asking.get(),
        principal.object_id,
        principal.kind,
        audience,
    )


def refused(error: OAuthError, form: Mapping[str, str], tenant_id: str | None, grant: str = "") -> SignIn:
    """Return the sign-in of a form that was refused."""
    client_id = _bounded(form.get("client_id", ""))
    name = form.get("username", "").strip()
    # What is no name may be a password in the wrong field.
    label = name.lower() if _NAME.fullmatch(name) and name.isprintable() else ""
    if "username" not in form:
        label = client_id if "client_secret" in form or "client_assertion" in form else ""
    return SignIn(
        error.number,
        error.description,
        grant or _grant(form),
        client_id,
        tenant_id or "",
        label,
        asking.get(),
    )


def correlation_id(unverified: str, request_id: str) -> str:
    """Return the id that a client gave its sign-in, if it is a GUID."""
    try:
        return str(uuid.UUID(unverified))
    except ValueError:
        return request_id


def _grant(form: Mapping[str, str]) -> str:
    return short_name(_bounded(form.get("grant_type", "")))


def short_name(grant_type: str) -> str:
    """Return a grant type without what URNs put in front of it: ``device_code``."""
    return grant_type.rpartition(":")[2]


def _bounded(text: str) -> str:
    return text if len(text) <= 100 and text.isprintable() else ""
