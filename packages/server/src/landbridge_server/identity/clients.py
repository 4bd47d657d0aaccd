"""The programs that people sign in with: public clients, known from the start (RFC 6749 section 2.1).

A public client has no secret; its id only says which program the sign-in page names.
"""

from __future__ import annotations

from landbridge_server.identity.errors import refuse
from landbridge_wire.agent_api import DEVICE_CLIENT_ID

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The client id that every ``az`` and, by default, azure-identity's user credentials send."""

AZCMAGENT = DEVICE_CLIENT_ID

PUBLIC_CLIENTS = {
    AZURE_CLI: "Azure CLI",
    AZCMAGENT: "Azure Connected Machine Agent",
}


def public_client(client_id: str, tenant: str) -> str:
    """Return the id of a public client as it is registered.

    Raises:
        OAuthError: 700016, no public client has this id.
    """
    key = client_id.lower()
    if key not in PUBLIC_CLIENTS:
        raise refuse(700016, app=client_id[:100], tenant=tenant)
    return key
