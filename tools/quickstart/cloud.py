"""The few calls to the control plane that the quickstart makes itself, with the standard library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstart.programs import Failed

API_VERSION = "2022-09-01"
SECONDS = 20.0


@dataclass(frozen=True)
class Admin:
    """What ``admin.json`` says: where the cloud is, and the administrator's credentials."""

    url: str
    tenant: str
    subscription: str
    client_id: str
    client_secret: str
    user_name: str
    ca_file: Path


def read_admin(path: Path) -> Admin:
    """Read the credentials that the first start wrote."""
    content = json.loads(path.read_text())
    return Admin(
        url=content["resourceManager"].rstrip("/"),
        tenant=content["tenantId"],
        subscription=content["subscriptionId"],
        client_id=content["clientId"],
        client_secret=content["clientSecret"],
        user_name=content["userName"],
        ca_file=Path(content["caFile"]),
    )


class Cloud:
    """ARM as the administrator sees it."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        trust = ssl.create_default_context(cafile=str(admin.ca_file))
        # No proxy stands between this machine and itself.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        self._token = ""

    def sign_in(self) -> None:
        """Get a token, where the metadata says that tokens are."""
        metadata = self._send("GET", f"{self._admin.url}/metadata/endpoints?api-version={API_VERSION}")
        sign_in = metadata["authentication"]
        form = {
            "grant_type": "client_credentials",
            "client_id": self._admin.client_id,
            "client_secret": self._admin.client_secret,
            "scope": sign_in["audiences"][0] + "/.default",
        }
        url = f"{sign_in['loginEndpoint'].rstrip('/')}/{self._admin.tenant}/oauth2/v2.0/token"
        self._token = self._send("POST", url, urllib.parse.urlencode(form).encode())["access_token"]

    def make_group(self, name: str) -> None:
        """Create the resource group, or keep the one that is there."""
        self._arm("PUT", f"/resourceGroups/{name}", {"location": "local"})

    def register_provider(self, namespace: str) -> None:
        """Ask for the provider; it is ready when ``provider_ready`` says so."""
        self._arm("POST", f"/providers/{namespace}/register")

    def provider_ready(self, namespace: str) -> bool | None:
        """Return True once the provider is registered."""
        return self._arm("GET", f"/providers/{namespace}")["registrationState"] == "Registered" or None

    def _arm(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self._admin.url}/subscriptions/{self._admin.subscription}{path}?api-version={API_VERSION}"
        return self._send(method, url, None if body is None else json.dumps(body).encode())

    def _send(self, method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(url, data=body, method=method)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                content: dict[str, Any] = json.load(answer)
                return content
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise Failed(f"{method} {url} was answered with {error.code}:\n    {said}") from error
        except urllib.error.URLError as error:
            raise Failed(f"{method} {url} was not answered: {error.reason}") from error
