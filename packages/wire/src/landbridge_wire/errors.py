"""The error envelope of Azure Resource Manager, and the closed list of its codes.

``code`` and ``message`` go to the caller, ``internal`` to the log only. The HTTP status is
derived from the code, in one place. A code, once shipped, never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Code -> HTTP status. Contract: the error table of the ARM documents, section 4.
STATUS: dict[str, int] = {
    "AuthenticationFailed": 401,
    "AuthenticationFailedInvalidHeader": 401,
    "AuthorizationFailed": 403,
    "BadRequest": 400,
    "CannotDeleteLastRbacAdminAssignment": 412,
    "Conflict": 409,
    "DenyAssignmentNotFound": 404,
    "DisallowedOperation": 405,
    "ExpiredAuthenticationToken": 401,
    "FeatureNotFound": 404,
    "Forbidden": 403,
    "InternalServerError": 500,
    "InvalidActionOrNotAction": 400,
    "InvalidApiVersionParameter": 400,
    "InvalidAuthenticationToken": 401,
    "InvalidAuthenticationTokenAudience": 401,
    "InvalidAuthenticationTokenTenant": 401,
    "InvalidCertificateSigningRequest": 400,
    "InvalidFilterInQueryString": 400,
    "InvalidParameter": 400,
    "InvalidQuery": 400,
    "InvalidRequestContent": 400,
    "InvalidRequestFormat": 400,
    "InvalidResourceGroup": 400,
    "InvalidResourceGroupLocation": 409,
    "InvalidResourceLocation": 409,
    "InvalidResourceName": 400,
    "InvalidResourceNamespace": 404,
    "InvalidResourceType": 404,
    "InvalidRoleAssignmentId": 400,
    "InvalidRoleDefinitionId": 400,
    "InvalidSubscriptionId": 400,
    "InvalidTagName": 400,
    "InvalidTagNameCharacters": 400,
    "InvalidTagValueLength": 400,
    "LinkedAuthorizationFailed": 403,
    "LocationNotAvailableForResourceType": 400,
    "LocationRequired": 400,
    "LockNotFound": 404,
    "MethodNotAllowed": 405,
    "MachineCloned": 409,
    "MissingApiVersionParameter": 400,
    "MissingSubscriptionRegistration": 409,
    "NoRegisteredProviderFound": 400,
    "NotFound": 404,
    "OperationNotAllowed": 409,
    "OperationPreempted": 409,
    "ParentResourceNotFound": 404,
    "ParserFailure": 400,
    "PreconditionFailed": 412,
    "PrincipalNotFound": 400,
    "PropertyChangeNotAllowed": 409,
    "RequestEntityTooLarge": 413,
    "ResourceGroupBeingDeleted": 409,
    "ResourceGroupDeletionBlocked": 409,
    "ResourceGroupNotFound": 404,
    "ResourceNotFound": 404,
    "RoleAssignmentExists": 409,
    "RoleAssignmentNotFound": 404,
    "RoleAssignmentUpdateNotPermitted": 400,
    "RoleDefinitionDoesNotExist": 404,
    "RoleDefinitionHasAssignments": 400,
    "RoleDefinitionLimitExceeded": 400,
    "RoleDefinitionWithSameNameExists": 409,
    "ScopeLocked": 409,
    "ServiceUnavailable": 503,
    "SubscriptionNotFound": 404,
    "SubscriptionRequestsThrottled": 429,
    "TenantNotFound": 404,
    "TenantRequestsThrottled": 429,
    "TooManyRequests": 429,
    "TooManyTags": 400,
    "UnmatchedPrincipalType": 400,
    "UnsupportedMediaType": 415,
}


class ArmError(Exception):
    """A refusal in ARM's own words.

    ``challenge`` is the WWW-Authenticate value of a 401; ``internal`` is for the log only;
    ``retry_after`` are the seconds after which to try again, 0 where nobody knows; ``extra`` are
    further members of the error object.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        target: str = "",
        details: tuple[ArmError, ...] = (),
        internal: str = "",
        challenge: str = "",
        cause: str = "gateway",
        retry_after: int = 0,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse with ``code``, which must be in ``STATUS``."""
        super().__init__(message)
        self.status = STATUS[code]
        self.code = code
        self.message = message
        self.target = target
        self.details = details
        self.internal = internal
        self.challenge = challenge
        self.cause = cause
        self.retry_after = retry_after
        self.extra = dict(extra or {})

    def to_json(self) -> dict[str, Any]:
        """Return the inner error object: code, message and, where given, target and details."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            body["target"] = self.target
        if self.details:
            body["details"] = [detail.to_json() for detail in self.details]
        return body | self.extra


def envelope(error: ArmError) -> dict[str, Any]:
    """Return the body that ARM answers with: ``{"error": {...}}``."""
    return {"error": error.to_json()}


def unverified_error(body: object) -> tuple[str, str]:
    """Return code and message of an error body that a server sent, whatever its shape."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            return str(inner.get("code", "")), str(inner.get("message", ""))
        return str(inner), str(body.get("error_description", ""))
    return "", ""
