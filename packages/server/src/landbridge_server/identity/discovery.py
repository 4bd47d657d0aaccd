"""OpenID Connect discovery: where the token service answers, per tenant and per style.

Only what exists is announced. msal takes the first path segment of ``token_endpoint`` as
the tenant, and accepts https only.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from landbridge_server.config import Endpoints
from landbridge_server.identity import tenancy

COMMON: dict[str, Any] = {
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256", "PS256"],
    "grant_types_supported": [
        "authorization_code",
        "client_credentials",
        "password",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
    "response_types_supported": ["code"],
    "response_modes_supported": ["query", "form_post"],
    "scopes_supported": ["openid", "profile", "email", "offline_access"],
    "code_challenge_methods_supported": ["S256"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "request_uri_parameter_supported": False,
    "claims_supported": [
        *("sub", "iss", "aud", "exp", "iat", "nbf", "oid", "tid"),
        *("name", "preferred_username", "upn", "unique_name", "ver"),
    ],
}


def document(endpoints: Endpoints, announced: str, *, v2: bool) -> dict[str, Any]:
    """Return the discovery document of a tenant, of ``organizations``, or of ``adfs``.

    Args:
        endpoints: the names of the cloud.
        announced: the path segment for the addresses, as ``Tenancy.announced`` returns it.
        v2: whether the v2.0 document was asked for; the v1 one announces the v1 paths.
    """
    base = tenancy.base(endpoints, announced)
    adfs = announced == tenancy.ADFS
    oauth = f"{base}/oauth2" if adfs or not v2 else f"{base}/oauth2/v2.0"
    host = urlsplit(endpoints.login).netloc
    found: dict[str, Any] = {
        "issuer": _issuer(endpoints, announced),
        "authorization_endpoint": f"{oauth}/authorize",
        "token_endpoint": f"{oauth}/token",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "jwks_uri": _jwks(base, adfs=adfs, v2=v2),
        **COMMON,
    }
    if adfs:
        found["access_token_issuer"] = tenancy.issuer(endpoints, "{tenantid}")
    else:
        found["cloud_instance_name"] = host
        found["tenant_region_scope"] = None
    return found


def _issuer(endpoints: Endpoints, announced: str) -> str:
    if announced == tenancy.ADFS:
        return endpoints.adfs
    # As in Azure: while the tenant is open, so is the issuer.
    tenant = "{tenantid}" if announced in tenancy.OPEN else announced
    return tenancy.issuer(endpoints, tenant)


def _jwks(base: str, *, adfs: bool, v2: bool) -> str:
    if adfs or not v2:
        return f"{base}/discovery/keys"
    return f"{base}/discovery/v2.0/keys"


def user_realm(user_name: str, endpoints: Endpoints) -> dict[str, Any]:
    """Return what az asks before it sends a password: every account is kept here.

    The answer does not depend on whether the account exists.
    """
    domain = user_name.rpartition("@")[2]
    return {
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": domain,
        "cloud_instance_name": urlsplit(endpoints.login).hostname or "",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    }
