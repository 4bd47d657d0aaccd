"""What the token service refuses, in the words that clients of Azure know (RFC 6749 section 5.2).

``error`` is OAuth's word, ``number`` the AADSTS number by which people search and some
clients decide: az prints a hint of its own for 7000215. Both, once shipped, never change.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """One row of the closed table: OAuth's word, the AADSTS number, its text, the HTTP status."""

    error: str
    number: int
    text: str
    status: int = 400


REFUSALS: dict[int, Refusal] = {
    row.number: row
    for row in (
        Refusal(
            "invalid_request",
            50011,
            "The redirect URI '{uri}' specified in the request does not match the redirect URIs "
            "configured for the application '{app}'.",
        ),
        Refusal(
            "invalid_grant",
            50020,
            "User account '{user}' does not exist in tenant '{tenant}'. "
            "Sign in with '--tenant' and a tenant in which the account is known.",
        ),
        Refusal("invalid_grant", 50034, "The account of this sign-in no longer exists in the directory."),
        Refusal(
            "invalid_grant",
            50053,
            "The account is locked, you've tried to sign in too many times "
            "with an incorrect user ID or password. Try again in {seconds} seconds.",
        ),
        Refusal("invalid_grant", 50057, "The user account is disabled."),
        Refusal("login_required", 50058, "A silent sign-in request was sent but no user is signed in."),
        Refusal(
            "interaction_required",
            50074,
            "Strong authentication is required: the code of the authenticator is wrong or was used before.",
        ),
        Refusal(
            "interaction_required",
            50076,
            "Due to a configuration change made by your administrator, you must use multi-factor "
            "authentication to access '{resource}'. Sign in through the browser with 'az login', or with "
            "'az login --use-device-code'.",
        ),
        Refusal(
            "interaction_required",
            50079,
            "Due to a configuration change made by your administrator, you must enroll in multi-factor "
            "authentication to access '{resource}'. Your administrator enrolls you with "
            "'landbridge user mfa-enroll'.",
        ),
        Refusal("invalid_grant", 50126, "Error validating credentials due to invalid username or password."),
        Refusal(
            "invalid_grant",
            50173,
            "The provided grant has expired due to it being revoked, "
            "a fresh auth token is needed. Sign in again.",
        ),
        Refusal(
            "invalid_grant",
            54005,
            "The {what} was already redeemed, please retry with a new "
            "valid code or use an existing refresh token.",
        ),
        Refusal("access_denied", 65004, "The sign-in was declined on the page."),
        Refusal("invalid_grant", 70000, "Provided grant is invalid or malformed."),
        Refusal("unsupported_grant_type", 70003, "The app requested an unsupported grant type '{grant}'."),
        Refusal(
            "invalid_grant",
            70008,
            "The provided authorization code or refresh token has expired due to inactivity. "
            "Send a new interactive authorization request for this user and resource.",
        ),
        Refusal(
            "invalid_scope",
            70011,
            "The provided value for the input parameter 'scope' is not valid. {reason}",
        ),
        Refusal(
            "authorization_pending",
            70016,
            "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
        ),
        Refusal(
            "slow_down",
            50196,
            "OAuth 2.0 device flow error. The program polls too often; "
            "wait {seconds} seconds between two polls.",
        ),
        Refusal(
            "invalid_grant", 70019, "Verification code expired or unknown. Have the user retry the sign-in."
        ),
        Refusal("expired_token", 70020, "The device code has expired. Start the sign-in again."),
        Refusal(
            "invalid_tenant",
            90002,
            "Tenant '{tenant}' not found. Check to make sure you have the "
            "correct tenant ID and are signing into the correct cloud.",
        ),
        Refusal("temporarily_unavailable", 90033, "A transient error has occurred. {reason}", 503),
        Refusal("invalid_request", 90100, "The '{name}' parameter is given more than once."),
        Refusal(
            "invalid_resource",
            500011,
            "The resource principal named {resource} was not found in the tenant. "
            "Tokens of this cloud are for {known}.",
        ),
        Refusal(
            "invalid_grant",
            501481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
        ),
        Refusal(
            "invalid_client",
            700024,
            "Client assertion is not within its valid time range. {reason} "
            "Current time: {now}, the assertion ends: {ends}.",
            401,
        ),
        Refusal("invalid_client", 700027, "The client assertion is refused. {reason}", 401),
        Refusal(
            "unauthorized_client",
            700016,
            "Application with identifier '{app}' was not found in the directory '{tenant}'.",
        ),
        Refusal(
            "unsupported_response_type",
            700054,
            "The response type '{type}' is not enabled: this cloud answers 'code'.",
        ),
        Refusal(
            "invalid_grant",
            700082,
            "The refresh token has expired due to inactivity. The token was issued "
            "on {issued} and was inactive for too long. Sign in again.",
        ),
        Refusal(
            "invalid_request", 900144, "The request body must contain the following parameter: '{name}'."
        ),
        Refusal("invalid_client", 7000112, "Application '{app}' is disabled.", 401),
        Refusal(
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the "
            "request is the client secret value, not the client secret ID, for a secret added to app "
            "'{app}'.",
            401,
        ),
        Refusal(
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            401,
        ),
        Refusal(
            "invalid_client",
            7000222,
            "The provided client secret keys for app '{app}' are expired. "
            "An operator can add a new one with 'landbridge sp reset'.",
            401,
        ),
        Refusal(
            "invalid_request",
            9002325,
            "Proof Key for Code Exchange is required for public clients: send 'code_challenge' "
            "with 'code_challenge_method=S256'.",
        ),
        Refusal("invalid_request", 9002313, "Invalid request. Request is malformed or invalid. {reason}"),
    )
}
"""Every refusal of the token service by its AADSTS number."""


class OAuthError(Exception):
    """A refusal of the token service.

    ``internal`` is for the log only; ``retry_after`` (seconds) goes into the header of that name.
    """

    def __init__(
        self,
        error: str,
        number: int,
        description: str,
        status: int = 400,
        *,
        internal: str = "",
        retry_after: int = 0,
    ) -> None:
        """Refuse with OAuth's ``error``; prefer ``refuse``, which takes it from the table."""
        self.error = error
        self.number = number
        self.description = f"AADSTS{number}: {description}"
        self.status = status
        self.internal = internal
        self.retry_after = retry_after
        super().__init__(self.description)

    def to_json(self, stamp: Stamp | None = None) -> dict[str, Any]:
        """Return the body; ``stamp`` says when it happened and under which ids it is logged."""
        stamp = stamp or Stamp()
        return {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.number],
            "timestamp": stamp.text,
            "trace_id": stamp.trace_id,
            "correlation_id": stamp.correlation_id,
        }


def refuse(
    number: int, *, status: int = 0, internal: str = "", retry_after: int = 0, **details: object
) -> OAuthError:
    """Return the refusal with this AADSTS number; ``details`` fill its text."""
    row = REFUSALS[number]
    text = row.text.format(**details)
    return OAuthError(
        row.error, number, text, status or row.status, internal=internal, retry_after=retry_after
    )


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Stamp:
    """When a request was refused, and the ids that find it in the log."""

    when: float = 0.0
    trace_id: str = field(default_factory=_new_id)
    correlation_id: str = field(default_factory=_new_id)

    @property
    def text(self) -> str:
        """The time as the token service of Azure writes it."""
        return datetime.fromtimestamp(self.when, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
