"""The ways to a token for the resource manager.

It is given, or comes by secret, certificate, join code, az, browser or device code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from landbridge_agent.cli.flags import Flag, Values
from landbridge_agent.cli.output import Output
from landbridge_agent.cloud import Metadata, unreachable
from landbridge_agent.codes import AgentError
from landbridge_agent.dial import Unreachable
from landbridge_agent.https import Requests, Response
from landbridge_wire.agent_api import CLIENT_ASSERTION_TYPE, DEVICE_CLIENT_ID

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

FLAGS = (
    Flag("access-token", "", "Access token"),
    Flag("service-principal-id", "i", "Service Principal Id"),
    Flag("service-principal-secret", "p", "Service Principal Secret"),
    Flag("service-principal-cert", "", "File with the Service Principal's certificate and key (PFX or PEM)"),
    Flag("tenant-id", "t", "Tenant Id"),
    Flag("use-device-code", "", "Sign in with a code in any browser", switch=True),
    Flag("use-azcli", "", "Use the sign-in of the Azure CLI on this machine", switch=True),
    Flag("cloud", "", "URL of the control plane. Defaults to the installed one"),
    Flag("ca-file", "", "File with the CA of the control plane (PEM). Defaults to the system's"),
    Flag("service-principal-cert-thumbprint", "", "Windows only", hidden=True),
    Flag("user-tenant-id", "", "Not supported: users belong to the machine's tenant", hidden=True),
)
"""The flags of every command that signs in."""

WAYS = ("access-token", "join-code", "service-principal-id", "use-azcli", "use-device-code")


def given(values: Values) -> bool:
    """Say whether the command line names a way to sign in."""
    return any(values.text(name) or values.on(name) for name in WAYS)


def check(values: Values, tenant: str) -> None:
    """Check that the credentials are complete, before anything is sent.

    Raises:
        AgentError: AZCM0016 one is missing, AZCM0003 not supported, AZCM0023 they exclude each other.
    """
    if values.text("service-principal-cert-thumbprint"):
        detail = "--service-principal-cert-thumbprint names a certificate in the store of Windows."
        raise AgentError(3, detail, "Use --service-principal-cert FILE.")
    if values.text("user-tenant-id"):
        detail = "--user-tenant-id: users of this cloud sign in to the tenant that the machine belongs to."
        raise AgentError(3, detail, "Use --tenant-id.")
    secret, certificate = values.text("service-principal-secret"), values.text("service-principal-cert")
    if secret and certificate:
        raise AgentError(23, "--service-principal-secret and --service-principal-cert exclude each other.")
    if values.text("service-principal-id") or secret or certificate:
        values.require("service-principal-id")
        if not certificate:
            values.require("service-principal-secret")
        if not tenant:
            values.require("tenant-id")


class SignIn:
    """Gets one token for the resource manager of a cloud."""

    def __init__(
        self,
        client: Requests,
        metadata: Metadata,
        out: Output,
        environment: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._metadata = metadata
        self._out = out
        self._environment = environment
        self._clock = clock

    async def token(self, values: Values, tenant: str) -> str:
        """Return an access token, by the way that the flags choose.

        Raises:
            AgentError: AZCM0041 refused, AZCM0026 unreachable, AZCM0107 a certificate that is none.
        """
        anybody = tenant or "organizations"
        if values.on("use-device-code"):
            return await self._by_device_code(anybody)
        if values.text("join-code"):
            return await self._by_join_code(tenant, values.text("join-code"))
        if values.text("access-token").strip():
            return values.text("access-token").strip()
        if values.text("service-principal-id"):
            return await self._by_application(tenant, values)
        if values.on("use-azcli"):
            from landbridge_agent.cli import azure_cli

            return await asyncio.to_thread(azure_cli.token, self._metadata.audience, tenant)
        return await self._by_browser(anybody) or await self._by_device_code(anybody)

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

    async def _by_application(self, tenant: str, values: Values) -> str:
        client_id, url = values.text("service-principal-id"), self._url(tenant, "token")
        form = {"grant_type": "client_credentials", "client_id": client_id, "scope": self._scope}
        remedy = "Check --service-principal-id, --service-principal-secret and --tenant-id."
        if values.text("service-principal-cert"):
            from landbridge_agent.cli import application_certificate

            found = application_certificate.read(values.text("service-principal-cert"))
            form["client_assertion_type"] = CLIENT_ASSERTION_TYPE
            form["client_assertion"] = found.assertion(client_id, url, self._clock())
            remedy = "Check --service-principal-id, --tenant-id, and that its certificate is registered."
        else:
            form["client_secret"] = values.text("service-principal-secret")
        answer = await self._post(url, form)
        token = answer.text("access_token")
        if not answer.ok or not token:
            raise AgentError(41, f"The service principal '{client_id}' was refused: {answer.reason}", remedy)
        return token

    async def _by_join_code(self, tenant: str, text: str) -> str:
        from landbridge_agent.cli import join_code

        code = join_code.read(text)
        form = {
            "grant_type": join_code.GRANT,
            "client_id": code.client_id,
            "join_code": code.secret,
            "scope": self._scope,
        }
        answer = await self._post(self._url(tenant, "token"), form)
        token = answer.text("access_token")
        if not answer.ok or not token:
            remedy = "Ask for a new one: landbridge join-code create."
            raise AgentError(41, f"The join code was refused: {answer.reason}", remedy)
        return token

    async def _by_browser(self, tenant: str) -> str:
        """Return a token; an empty one where there is no browser to sign in with."""
        from landbridge_agent.cli import browser

        if not browser.has_desktop(self._environment):
            return ""
        url = self._url(tenant, "authorize")
        found = await browser.sign_in(url, DEVICE_CLIENT_ID, self._scope, self._out.must_see)
        if found is None:
            return ""
        form = {
            "grant_type": "authorization_code",
            "client_id": DEVICE_CLIENT_ID,
            "code": found.code,
            "code_verifier": found.verifier,
            "redirect_uri": found.redirect_uri,
            "scope": self._scope,
        }
        answer = await self._post(self._url(tenant, "token"), form)
        token = answer.text("access_token")
        if not answer.ok or not token:
            raise AgentError(41, f"The sign-in failed: {answer.reason}", "Run the command again.")
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
