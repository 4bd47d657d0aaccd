"""The calls to the resource manager, by az's own session; refusals become az's errors."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from azure.cli.core.azclierror import (
    AzureResponseError,
    HTTPError,
    InvalidArgumentValueError,
    ResourceNotFoundError,
    UnauthorizedError,
)
from azure.cli.core.commands.client_factory import get_subscription_id
from azure.cli.core.util import send_raw_request

MACHINES = "Microsoft.HybridCompute/machines"
MACHINES_VERSION = "2022-11-10"
RESOURCES_VERSION = "2021-04-01"
ENDPOINTS_VERSION = "2023-03-15"
OWNER_NEEDED = (
    "Allowing SSH is a one-time operation that the Owner or a Contributor of the machine has to do: "
    "ask them to run this command once."
)


class Refused(Exception):
    """The resource manager said no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"({code}) {message}" if code else message)
        self.status = status


def call(cmd: Any, method: str, path: str, version: str, body: Any = None, query: str = "") -> Any:
    """Send a request and return the JSON of its answer.

    Raises:
        Refused: the answer is not 2xx.
    """
    base = cmd.cli_ctx.cloud.endpoints.resource_manager.rstrip("/")
    url = f"{base}{quote(path)}?{query}api-version={version}"
    content = json.dumps(body) if body is not None else None
    try:
        answer = send_raw_request(cmd.cli_ctx, method, url, body=content)
    except HTTPError as error:
        raise _refused(error) from error
    return answer.json() if answer.content else {}


def _refused(error: Any) -> Refused:
    try:
        inner = error.response.json()["error"]
        return Refused(error.response.status_code, str(inner["code"]), str(inner["message"]))
    except (ValueError, KeyError, TypeError):
        answer = error.response
        return Refused(answer.status_code, "", f"HTTP {answer.status_code} {answer.reason}")


def machine(cmd: Any, group: str, name: str, resource_type: str | None) -> Any:
    """Return the machine of this name.

    Raises:
        CLIError: there is none, it is of another type, or the caller may not read it.
    """
    if resource_type and resource_type.lower() not in (MACHINES.lower(), "microsoft.hybridcompute"):
        raise InvalidArgumentValueError(
            f"--resource-type {resource_type}: this extension reaches {MACHINES} only."
        )
    for text, option in ((group, "--resource-group"), (name, "--name")):
        if not text.strip() or "/" in text:
            raise InvalidArgumentValueError(f"{option} '{text}' is not a name.")
    subscription = get_subscription_id(cmd.cli_ctx)
    path = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{MACHINES}/{name}"
    try:
        return call(cmd, "GET", path, MACHINES_VERSION)
    except Refused as error:
        if error.status == 404:
            raise ResourceNotFoundError(f"{name} is not a connected machine of {group}: {error}") from error
        raise _as_cli_error(error, "read the machine") from error


def relay_information(cmd: Any, machine_id: str, port: int, agreed: Any) -> Any:
    """Return ``relay``, with which a sender reaches the machine's sshd; ``agreed()`` allows a port.

    Raises:
        CLIError: refused, or nobody agreed.
    """
    base = f"{machine_id}/providers/Microsoft.HybridConnectivity/endpoints/default"
    try:
        answer = _credentials(cmd, base)
        if port == _allowed_port(cmd, base, port):
            return answer["relay"]
    except Refused as error:
        if error.status not in (404, 412):
            raise _as_cli_error(error, "reach the machine") from error
    agreed()
    try:
        call(cmd, "PUT", base, ENDPOINTS_VERSION, {"properties": {"type": "default"}})
        configuration = {"properties": {"port": port, "serviceName": "SSH"}}
        call(cmd, "PUT", f"{base}/serviceConfigurations/SSH", ENDPOINTS_VERSION, configuration)
        return _credentials(cmd, base)["relay"]
    except Refused as error:
        if error.status == 403:
            raise UnauthorizedError(str(error), OWNER_NEEDED) from error
        raise _as_cli_error(error, "allow SSH to the machine") from error


def _credentials(cmd: Any, base: str) -> Any:
    query = "expiresin=10800&"
    return call(cmd, "POST", f"{base}/listCredentials", ENDPOINTS_VERSION, {"serviceName": "SSH"}, query)


def _allowed_port(cmd: Any, base: str, otherwise: int) -> int:
    """Return the port that is configured; who may not read that learns it from the machine itself."""
    try:
        found = call(cmd, "GET", f"{base}/serviceConfigurations/SSH", ENDPOINTS_VERSION)
        return int(found["properties"]["port"])
    except (Refused, KeyError, TypeError, ValueError):
        return otherwise


def _as_cli_error(error: Refused, what: str) -> Exception:
    if error.status == 403:
        return UnauthorizedError(f"You may not {what}: {error}")
    return AzureResponseError(f"The cloud refused to {what}: {error}")
