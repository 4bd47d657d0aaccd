"""How objects of the directory are shown, as https://learn.microsoft.com/graph/api/resources has them.

What this cloud does not keep is null or empty, as it is there for an object that has none.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec

from landbridge_server.identity import key_credentials
from landbridge_server.store import applications, principals
from landbridge_server.store.applications import Application
from landbridge_server.store.database import Connection
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import (
    CERTIFICATE,
    MANAGED_IDENTITY,
    SECRET,
    Credential,
    Principal,
)

Shown = dict[str, Any]

USER_TEXTS = (
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "mailNickname",
    "department",
    "companyName",
    "employeeId",
    "streetAddress",
    "city",
    "state",
    "country",
    "postalCode",
    "usageLocation",
    "onPremisesImmutableId",
)
USER_DEFAULT = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
"""What a user is shown with where nothing is selected."""

GROUP_EMPTY: Shown = {
    "deletedDateTime": None,
    "classification": None,
    "description": None,
    "expirationDateTime": None,
    "groupTypes": [],
    "isAssignableToRole": None,
    "mail": None,
    "membershipRule": None,
    "membershipRuleProcessingState": None,
    "onPremisesSyncEnabled": None,
    "preferredDataLocation": None,
    "preferredLanguage": None,
    "proxyAddresses": [],
    "renewedDateTime": None,
    "theme": None,
    "visibility": None,
    "mailEnabled": False,
    "securityEnabled": True,
}
APPLICATION_EMPTY: Shown = {
    "deletedDateTime": None,
    "applicationTemplateId": None,
    "disabledByMicrosoftStatus": None,
    "description": None,
    "groupMembershipClaims": None,
    "isDeviceOnlyAuthSupported": None,
    "isFallbackPublicClient": None,
    "notes": None,
    "publisherDomain": None,
    "serviceManagementReference": None,
    "signInAudience": "AzureADMyOrg",
    "tags": [],
    "tokenEncryptionKeyId": None,
    "addIns": [],
    "api": {
        "acceptMappedClaims": None,
        "knownClientApplications": [],
        "requestedAccessTokenVersion": None,
        "oauth2PermissionScopes": [],
        "preAuthorizedApplications": [],
    },
    "appRoles": [],
    "info": {},
    "optionalClaims": None,
    "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
    "publicClient": {"redirectUris": []},
    "requiredResourceAccess": [],
    "spa": {"redirectUris": []},
    "verifiedPublisher": {},
    "web": {
        "homePageUrl": None,
        "logoutUrl": None,
        "redirectUris": [],
        "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
    },
}
SERVICE_PRINCIPAL_EMPTY: Shown = {
    "deletedDateTime": None,
    "alternativeNames": [],
    "appDescription": None,
    "applicationTemplateId": None,
    "appRoleAssignmentRequired": False,
    "appRoles": [],
    "description": None,
    "disabledByMicrosoftStatus": None,
    "homepage": None,
    "loginUrl": None,
    "logoutUrl": None,
    "notes": None,
    "notificationEmailAddresses": [],
    "oauth2PermissionScopes": [],
    "preferredSingleSignOnMode": None,
    "replyUrls": [],
    "tags": [],
    "addIns": [],
    "info": {},
}


def stamp(seconds: float) -> str:
    """Return unix seconds as Graph writes times: UTC, whole seconds, ``Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def security_identifier(object_id: str) -> str:
    """Return the SID that Microsoft Entra derives from an object id: its bytes as four numbers."""
    octets = uuid.UUID(object_id).bytes_le
    numbers = (str(int.from_bytes(octets[at : at + 4], "little")) for at in range(0, 16, 4))
    return "S-1-12-1-" + "-".join(numbers)


def _kept(document: str) -> Shown:
    found: Shown = msgspec.json.decode(document)
    return found


def user(connection: Connection, row: Principal, *, guest: bool = False) -> Shown:
    """Return a user with everything that can be selected; ``guest``: in the tenant that asks."""
    kept = _kept(principals.details(connection, row.object_id))
    return {
        "id": row.object_id,
        "displayName": row.display_name,
        "userPrincipalName": row.user_name,
        "accountEnabled": row.enabled,
        "createdDateTime": stamp(row.created_at),
        "userType": "Guest" if guest else "Member",
        "creationType": None,
        "securityIdentifier": security_identifier(row.object_id),
        "businessPhones": kept.get("businessPhones", []),
        "otherMails": kept.get("otherMails", []),
        **{name: kept.get(name) for name in USER_TEXTS},
    }


def group(connection: Connection, row: Group) -> Shown:
    """Return a group."""
    return {
        "id": row.object_id,
        **GROUP_EMPTY,
        "createdDateTime": stamp(row.created_at),
        "displayName": row.display_name,
        "securityIdentifier": security_identifier(row.object_id),
        **_kept(row.document),
    }


def application(connection: Connection, row: Application) -> Shown:
    """Return an application; of its secrets only that they are there."""
    return {
        "id": row.object_id,
        **_over(APPLICATION_EMPTY, _kept(row.document)),
        "appId": row.app_id,
        "createdDateTime": stamp(row.created_at),
        "displayName": row.display_name,
        "identifierUris": applications.uris_of(connection, row.app_id),
        "uniqueName": None,
        **_credentials(connection, row.object_id),
    }


def service_principal(connection: Connection, row: Principal) -> Shown:
    """Return a service principal or managed identity; of its secrets only that they are there."""
    managed = row.kind == MANAGED_IDENTITY
    # A managed identity has nothing but its row: machines are many, and lists of them are long.
    uris = [] if managed else applications.uris_of(connection, row.app_id or "")
    found = {
        "id": row.object_id,
        **SERVICE_PRINCIPAL_EMPTY,
        "accountEnabled": row.enabled,
        "appDisplayName": None if managed else row.display_name,
        "appId": row.app_id,
        "appOwnerOrganizationId": None if managed else row.tenant_id,
        "createdDateTime": stamp(row.created_at),
        "displayName": row.display_name,
        "servicePrincipalNames": [row.app_id, *uris],
        "servicePrincipalType": "ManagedIdentity" if managed else "Application",
        "signInAudience": None if managed else "AzureADMyOrg",
    }
    if managed:
        names = ["isExplicit=False", *([row.resource_key] if row.resource_key else [])]
        return found | {"alternativeNames": names, "passwordCredentials": [], "keyCredentials": []}
    kept = _kept(principals.details(connection, row.object_id))
    return found | kept | _credentials(connection, row.object_id)


def _over(empty: Shown, kept: Shown) -> Shown:
    """Return what is kept over what there is otherwise, objects member by member."""
    found = dict(empty)
    for name, value in kept.items():
        below = found.get(name)
        found[name] = _over(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return found


def _credentials(connection: Connection, object_id: str) -> Shown:
    secrets = principals.credentials_of(connection, object_id, SECRET)
    keys = principals.credentials_of(connection, object_id, CERTIFICATE)
    return {
        "passwordCredentials": [password_credential(one) for one in secrets],
        "keyCredentials": [key_credential(one) for one in keys],
    }


def _times(credential: Credential) -> Shown:
    return {
        "displayName": credential.display_name,
        "endDateTime": stamp(credential.expires_at) if credential.expires_at is not None else None,
        "keyId": credential.credential_id,
        "startDateTime": stamp(credential.not_before),
    }


def password_credential(credential: Credential) -> Shown:
    """Return a secret without the secret."""
    return {
        "customKeyIdentifier": None,
        **_times(credential),
        "hint": credential.hint,
        "secretText": None,
    }


def key_credential(credential: Credential) -> Shown:
    """Return a certificate's description; the certificate itself is not given back, as in Entra."""
    return {
        "customKeyIdentifier": key_credentials.sha1_hex(credential),
        **_times(credential),
        "key": None,
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def tenant(tenant_id: str, display_name: str, domain: str, created_at: float) -> Shown:
    """Return the tenant as an organization."""
    verified = {
        "capabilities": "Email, OfficeCommunicationsOnline",
        "isDefault": True,
        "isInitial": True,
        "name": domain,
        "type": "Managed",
    }
    return {
        "id": tenant_id,
        "displayName": display_name,
        "createdDateTime": stamp(created_at),
        "tenantType": "AAD",
        "verifiedDomains": [verified],
        "assignedPlans": [],
        "businessPhones": [],
        "technicalNotificationMails": [],
    }


def domain(name: str) -> Shown:
    """Return the domain of a tenant."""
    return {
        "id": name,
        "authenticationType": "Managed",
        "availabilityStatus": None,
        "isAdminManaged": True,
        "isDefault": True,
        "isInitial": True,
        "isRoot": True,
        "isVerified": True,
        "supportedServices": [],
    }
