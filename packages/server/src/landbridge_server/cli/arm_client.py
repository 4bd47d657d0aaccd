"""A small ARM client for the command line: urllib with our root certificate only.

Credentials come from ``DIR/admin.json``, else from the environment, else from the signed-in
``az``. The access token lives in this process only.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landbridge_server.cli.arguments import CommandError, read_admin
from landbridge_wire.errors import unverified_error

TIMEOUT = 30
LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Arm:
    """An open door to one cloud: where it is, whom to trust, and the caller's token."""

    base: str
    subscription_id: str
    ca_file: Path | None
    token: str
    context: ssl.SSLContext

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send one request and return the JSON object of the answer.

        Raises:
            CommandError: refused or unreachable, with ARM's own code and text.
        """
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return send(self.context, method, self.base + urllib.parse.quote(path, safe="/?&=$"), data, headers)

    def listed(self, path: str) -> list[dict[str, Any]]:
        """Return all pages of a list."""
        found: list[dict[str, Any]] = []
        page = self.call("GET", path)
        while True:
            found += page.get("value", [])
            following = page.get("nextLink")
            if not following:
                return found
            headers = {"authorization": f"Bearer {self.token}"}
            page = send(self.context, "GET", following, None, headers)


def send(
    context: ssl.SSLContext, method: str, url: str, data: bytes | None, headers: dict[str, str]
) -> dict[str, Any]:
    """Send one HTTPS request and return its JSON object, or ``{}`` when there is none.

    Raises:
        CommandError: refused or unreachable.
    """
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as response:  # noqa: S310
            content = response.read(LIMIT)
    except urllib.error.HTTPError as error:
        raise CommandError(_refusal(error)) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        hint = " Give its root certificate: --ca-file FILE." if isinstance(reason, ssl.SSLError) else ""
        raise CommandError(f"{url.split('?')[0]} cannot be reached: {reason}.{hint}") from error
    body = json.loads(content) if content else {}
    return body if isinstance(body, dict) else {}


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        code, message = unverified_error(json.loads(error.read(LIMIT)))
    except ValueError:
        code, message = "", ""
    return f"({code or error.code}) {message or error.reason}"


def open_admin(data: Path) -> Arm:
    """Open the cloud of ``DIR/admin.json`` as its administrator's service principal."""
    admin = read_admin(data)
    ca_file = Path(admin["caFile"])
    context = _trusting(ca_file)
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": admin["clientId"],
            "client_secret": admin["clientSecret"],
            "scope": admin["resourceManager"] + "/.default",
        }
    )
    url = f"{admin.get('login', admin['resourceManager'])}/{admin['tenantId']}/oauth2/v2.0/token"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    token = send(context, "POST", url, form.encode(), headers)["access_token"]
    return Arm(admin["resourceManager"], admin["subscriptionId"], ca_file, token, context)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"The CA file {ca_file} cannot be used: {error}") from error


TOKEN, BASE, SUBSCRIPTION = (
    "LANDBRIDGE_ACCESS_TOKEN",
    "LANDBRIDGE_RESOURCE_MANAGER",
    "LANDBRIDGE_SUBSCRIPTION",
)
"""Variables of the environment: a token, the cloud that it is for, and a subscription's id."""


def open_environment(ca_file: Path | None) -> Arm | None:
    """Open the cloud of the environment's token; None where it has none.

    Raises:
        CommandError: the token is there, and the cloud or the subscription is not.
    """
    given = {name: os.environ.get(name, "") for name in (TOKEN, BASE, SUBSCRIPTION)}  # noqa: TID251
    if not given[TOKEN]:
        return None
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise CommandError(f"{TOKEN} is set, and {' and '.join(missing)} must be, too.")
    return Arm(given[BASE].rstrip("/"), given[SUBSCRIPTION], ca_file, given[TOKEN], _trusting(ca_file))


def open_az(ca_file: Path | None) -> Arm:
    """Open the active cloud of the signed-in ``az``; its CA file is trusted unless another is given."""
    az = shutil.which("az")
    if az is None:
        raise CommandError(
            f"There is no DIR/admin.json, no {TOKEN} and no 'az' on the PATH. "
            "Give --data, or sign in with az."
        )
    token = _az(az, "account", "get-access-token")
    cloud = _az(az, "cloud", "show")
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")  # noqa: TID251 - what that az trusts
    ca_file = ca_file or (Path(bundle) if bundle else None)
    context = _trusting(ca_file)
    base = str(cloud["endpoints"]["resourceManager"]).rstrip("/")
    return Arm(base, token["subscription"], ca_file, token["accessToken"], context)


def _az(az: str, *arguments: str) -> dict[str, Any]:
    result = subprocess.run([az, *arguments, "-o", "json"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise CommandError(f"'az {' '.join(arguments)}' failed: {result.stderr.strip() or result.returncode}")
    parsed = json.loads(result.stdout)
    return parsed if isinstance(parsed, dict) else {}


def open_cloud(data: Path, ca_file: Path | None) -> Arm:
    """Open the cloud by ``DIR/admin.json`` where that is, else by the environment, else by ``az``."""
    if (data / "admin.json").exists():
        return open_admin(data)
    return open_environment(ca_file) or open_az(ca_file)
