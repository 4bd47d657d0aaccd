"""The resource manager's and the enrolment's calls, and what their refusals mean here."""

from __future__ import annotations

from urllib.parse import quote

from landbridge_agent.cloud import unreachable
from landbridge_agent.codes import AgentError
from landbridge_agent.dial import Unreachable
from landbridge_agent.https import Requests, Response
from landbridge_wire import agent_api

MACHINES = "api-version=2024-07-10"
RESOURCES = "api-version=2021-04-01"


def machine_id(subscription: str, group: str, name: str) -> str:
    """Return the resource id of a machine."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.HybridCompute/machines/{name}"
    )


class ResourceManager:
    """Speaks to one resource manager with one caller's token."""

    def __init__(self, client: Requests, url: str, token: str, own_token: bool) -> None:
        self._client = client
        self._url = url
        self._token = token
        self._own_token = own_token

    async def _send(
        self, method: str, path: str, body: object = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        url = self._url + quote(path, safe="/?=&")
        try:
            answer = await self._client.request(method, url, token=self._token, body=body, headers=headers)
        except Unreachable as error:
            raise unreachable(error) from error
        if answer.status == 401:
            raise AgentError(12 if self._own_token else 41, f"The token was refused: {answer.reason}")
        return answer

    async def subscription(self, name: str) -> str:
        """Return the id of the subscription with this display name.

        Raises:
            AgentError: AZCM0068, none or several have it.
        """
        answer = await self._send("GET", "/subscriptions?api-version=2022-12-01")
        listed = answer.json().get("value")
        found = [
            str(one.get("subscriptionId"))
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and str(one.get("displayName", "")).lower() == name.lower()
        ]
        if len(found) != 1:
            raise AgentError(68, f"{len(found) or 'No'} subscriptions are called '{name}'.")
        return found[0]

    async def machine(self, resource: str) -> Response:
        """Return the answer to a GET of the machine: 200, 403 or 404."""
        return await self._send("GET", f"{resource}?{MACHINES}")

    async def create_group(self, subscription: str, group: str, location: str) -> Response:
        """Create a resource group."""
        path = f"/subscriptions/{subscription}/resourcegroups/{group}?{RESOURCES}"
        return await self._send("PUT", path, {"location": location})

    async def remove_empty_group(self, subscription: str, group: str) -> None:
        """Delete a group that this command created, unless something is in it by now."""
        base = f"/subscriptions/{subscription}/resourceGroups/{group}"
        answer = await self._send("GET", f"{base}/resources?{RESOURCES}")
        if answer.ok and answer.json().get("value") == []:
            await self._send("DELETE", f"{base}?{RESOURCES}")

    async def create_machine(self, resource: str, body: object) -> Response:
        """Create the machine, only if it does not exist yet."""
        return await self._send("PUT", f"{resource}?{MACHINES}", body, (("If-None-Match", "*"),))

    async def delete_machine(self, resource: str) -> Response:
        """Delete the machine: 200, 202, 204, 403 or 404."""
        return await self._send("DELETE", f"{resource}?{MACHINES}")

    async def enroll(self, request: agent_api.EnrollmentRequest) -> agent_api.Enrollment:
        """Get the machine's first certificate.

        Raises:
            AgentError: AZCM0081, refused or answered with something else.
        """
        answer = await self._send("POST", agent_api.ENROLLMENTS, request.to_json())
        return enrollment_of(answer, 81)

    async def reconnect(self, request: agent_api.EnrollmentRequest) -> agent_api.Enrollment:
        """Get a certificate for a new key of a machine that exists.

        Raises:
            AgentError: AZCM0045, refused or answered with something else.
        """
        answer = await self._send("POST", agent_api.RECONNECTS, request.to_json())
        if answer.status == 403:
            raise AgentError(
                45,
                answer.reason,
                "Ask for the role 'Azure Connected Machine Resource Administrator' on the machine: "
                "'Azure Connected Machine Onboarding' may connect but not reconnect.",
            )
        if answer.status == 404:
            raise AgentError(
                45,
                f"The resource does not exist in Azure any more: {answer.reason}",
                "Run azcmagent disconnect --force-local-only, then azcmagent connect.",
            )
        return enrollment_of(answer, 45)

    async def withdraw(self, withdrawal: agent_api.Withdrawal) -> bool:
        """Undo an unfinished connect; True when nothing is left in the cloud."""
        answer = await self._send("POST", agent_api.WITHDRAWALS, withdrawal.to_json())
        return answer.ok or answer.status == 404


def enrollment_of(answer: Response, code: int) -> agent_api.Enrollment:
    """Return what the control plane tells a machine with its certificate.

    Raises:
        AgentError: ``code``, refused or answered with something else.
    """
    if not answer.ok:
        raise AgentError(code, f"The identity's certificate was refused: {answer.reason}")
    try:
        return agent_api.Enrollment.from_json(answer.json())
    except agent_api.MalformedMessage as error:
        raise AgentError(code, f"The answer to the enrolment cannot be read: {error}") from error


async def rejoin(client: Requests, url: str, request: agent_api.RejoinRequest) -> Response:
    """Ask for a certificate with the proof of the machine's own key; no token is sent.

    Raises:
        AgentError: AZCM0026, unreachable.
    """
    try:
        return await client.request("POST", url + agent_api.REJOINS, body=request.to_json())
    except Unreachable as error:
        raise unreachable(error) from error


def refused_create(answer: Response) -> AgentError:
    """Return the code that fits a machine or a group that was not created."""
    code = answer.error[0]
    if code.startswith("LocationNotAvailable"):
        return AgentError(20, answer.reason)
    if answer.status == 412:
        return AgentError(44, f"A machine of that name exists already: {answer.reason}")
    if code == "MissingSubscriptionRegistration":
        remedy = "Register it: az provider register -n Microsoft.HybridCompute --wait."
        return AgentError(42, answer.reason, remedy)
    if answer.status == 403:
        remedy = "Ask for the role 'Azure Connected Machine Onboarding' on the resource group."
        return AgentError(42, answer.reason, remedy)
    return AgentError(42, answer.reason)
