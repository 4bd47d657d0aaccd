"""The three ways to a token for the resource manager: given, by secret, by device code."""

from __future__ import annotations

import asyncio

from landbridge_agent.cli.flags import Flag, Values
from landbridge_agent.cli.output import Output
from landbridge_agent.cloud import Metadata, unreachable
from landbridge_agent.codes import AgentError
from landbridge_agent.dial import Unreachable
from landbridge_agent.https import Requests, Response
from landbridge_wire.agent_api import DEVICE_CLIENT_ID

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

FLAGS = (
    Flag("access-token", "", "Access token"),
    Flag("service-principal-id", "i", "Service Principal Id"),
    Flag("service-principal-secret", "p", "Service Principal Secret"),
    Flag("tenant-id", "t", "Tenant Id"),
    Flag("use-device-code", "", "Sign in with a code in any browser", switch=True),
    Flag("cloud", "", "URL of the control plane. Defaults to the installed one"),
    Flag("ca-file", "", "File with the CA of the control plane (PEM). Defaults to the system's"),
    Flag("service-principal-cert", "", "Not supported yet", hidden=True),
    Flag("service-principal-cert-thumbprint", "", "Not supported yet", hidden=True),
    Flag("use-azcli", "", "Not supported yet", switch=True, hidden=True),
    Flag("user-tenant-id", "", "Not supported yet", hidden=True),
)
"""The flags of every command that signs in."""

UNSUPPORTED = ("service-principal-cert", "service-principal-cert-thumbprint", "user-tenant-id")


def refuse_unsupported(values: Values, names: tuple[str, ...] = UNSUPPORTED) -> None:
    """Refuse what a later version will do.

    Raises:
        AgentError: AZCM0003.
    """
    given = [name for name in names if values.text(name)]
    if values.on("use-azcli"):
        given.append("use-azcli")
    if given:
        raise AgentError(3, f"--{given[0]} is not supported yet by this agent.")


def check(values: Values, tenant: str) -> None:
    """Check that the credentials are complete, before anything is sent.

    Raises:
        AgentError: AZCM0016 one is missing, AZCM0003 not supported yet.
    """
    refuse_unsupported(values)
    if values.text("service-principal-id") or values.text("service-principal-secret"):
        values.require("service-principal-id", "service-principal-secret")
        if not tenant:
            values.require("tenant-id")


class SignIn:
    """Gets one token for the resource manager of a cloud."""

    def __init__(self, client: Requests, metadata: Metadata, out: Output) -> None:
        self._client = client
        self._metadata = metadata
        self._out = out

    async def token(self, values: Values, tenant: str) -> str:
        """Return an access token, by the way that the flags choose.

        Raises:
            AgentError: AZCM0041 refused, AZCM0026 unreachable.
        """
        given = values.text("access-token").strip()
        if given and not values.on("use-device-code"):
            return given
        if values.text("service-principal-id") and not values.on("use-device-code"):
            return await self._by_secret(
                tenant, values.text("service-principal-id"), values.text("service-principal-secret")
            )
        return await self._by_device_code(tenant or "organizations")

    def _url(self, tenant: str, endpoint: str) -> str:
        login = self._metadata.login
        return (
            f"{login}/oauth2/{endpoint}"
            if self._metadata.adfs
            else f"{login}/{tenant}/oauth2/v2.0/{endpoint}"
        )

    @property
    def _scope(self) -> str:
        return self._metadata.audience + "/.default"

    async def _post(self, url: str, form: dict[str, str]) -> Response:
        try:
            return await self._client.request("POST", url, form=form)
        except Unreachable as error:
            raise unreachable(error) from error

    async def _by_secret(self, tenant: str, client_id: str, secret: str) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": self._scope,
        }
        answer = await self._post(self._url(tenant, "token"), form)
        token = answer.text("access_token")
        if not answer.ok or not token:
            raise AgentError(
                41,
                f"The service principal '{client_id}' was refused: {answer.reason}",
                "Check --service-principal-id, --service-principal-secret and --tenant-id.",
            )
        return token

    async def _by_device_code(self, tenant: str) -> str:
        form = {"client_id": DEVICE_CLIENT_ID, "scope": self._scope}
        answer = await self._post(self._url(tenant, "devicecode"), form)
        code = answer.text("device_code")
        if not answer.ok or not code:
            raise AgentError(41, f"No device code was given: {answer.reason}", "Check --tenant-id.")
        self._out.must_see(answer.text("message") or _message(answer))
        return await self._poll(tenant, code, answer)

    async def _poll(self, tenant: str, code: str, answer: Response) -> str:
        """RFC 8628 section 3.5."""
        interval = _seconds(answer, "interval", 5)
        left = _seconds(answer, "expires_in", 900)
        form = {"grant_type": DEVICE_GRANT, "client_id": DEVICE_CLIENT_ID, "device_code": code}
        while left > 0:
            await asyncio.sleep(interval)
            left -= interval
            reply = await self._post(self._url(tenant, "token"), form)
            token = reply.text("access_token")
            if reply.ok and token:
                return token
            error = reply.error[0]
            if error == "slow_down":
                interval += 5
            elif error != "authorization_pending":
                raise AgentError(41, f"The sign-in failed: {reply.reason}", "Run the command again.")
        raise AgentError(41, "Nobody signed in with the code in time.", "Run the command again.")


def _message(answer: Response) -> str:
    page, code = answer.text("verification_uri"), answer.text("user_code")
    return f"To sign in, use a web browser to open the page {page} and enter the code {code} to authenticate."


def _seconds(answer: Response, name: str, default: int) -> int:
    value = answer.json().get(name, default)
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    return min(max(value, 1), 3600) if isinstance(value, int) else default
