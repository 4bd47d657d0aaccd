"""The agent API's calls, as the machine: its token comes from a signed assertion (RFC 7523).

The token lives in memory only; it is fetched anew before it ends, and at once after a 401.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from landbridge_agent.daemon.child import ChildFailed, run
from landbridge_agent.https import Requests, Response
from landbridge_agent.machine import AgentConfig
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire import agent_api

CLONED = "MachineCloned"
"""The code with which the control plane refuses a copy of a machine."""

EARLY_SECONDS = 300.0
"""A token that ends within this time is replaced."""


class Refused(Exception):
    """The control plane, or our own child, said no; ``status`` is HTTP's, 0 for the child.

    ``code`` is that of an ARM envelope or an OAuth error, if there was one.
    """

    def __init__(self, status: int, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.code = code


class Granted(NamedTuple):
    """A token for the machine, and for how many seconds from now it is good."""

    token: str
    seconds: float


class ControlPlane:
    """Calls one control plane as one machine. ``monotonic`` measures the token's life."""

    def __init__(
        self,
        client: Requests,
        config: AgentConfig,
        identity_file: str,
        monotonic: Callable[[], float],
        fingerprint: str = "",
        instance: str | None = None,
    ) -> None:
        """Take the parts. An empty ``instance`` looks only, and is never taken for a copy."""
        self._client = client
        self._config = config
        self._identity_file = identity_file
        self._monotonic = monotonic
        self._token = ""
        self._token_ends = 0.0
        self._fingerprint = fingerprint
        # Of this process's connection, for as long as it lasts.
        self._instance = os.urandom(8).hex() if instance is None else instance
        self.quarantine = ""
        """Why this machine is taken for a copy; then nothing is asked in its name but who it is."""

    async def session(self) -> agent_api.Session:
        """Return where and with what the machine listens.

        Raises:
            Refused, Unreachable: as every call here.
        """
        request = agent_api.SessionRequest(AGENT_VERSION, self._fingerprint, self._instance).to_json()
        try:
            answer = await self._call("POST", agent_api.SESSION, request)
        except Refused as error:
            self.quarantine = error.reason if error.code == CLONED else ""
            raise
        self.quarantine = ""
        try:
            return agent_api.Session.from_json(answer.json())
        except agent_api.MalformedMessage as error:
            raise Refused(answer.status, f"The session cannot be read: {error}") from error

    async def heartbeat(self, message: agent_api.Heartbeat) -> agent_api.HeartbeatReply:
        """Say over HTTPS that the machine lives: the way while the relay cannot be reached."""
        answer = await self._call("POST", agent_api.HEARTBEAT, message.to_json())
        try:
            return agent_api.HeartbeatReply.from_json(answer.json())
        except agent_api.MalformedMessage as error:
            raise Refused(answer.status, f"The heartbeat's answer cannot be read: {error}") from error

    async def instance(self) -> agent_api.Instance:
        """Return what the machine's resource says now."""
        answer = await self._call("GET", agent_api.INSTANCE, None)
        try:
            return agent_api.Instance.from_json(answer.json())
        except agent_api.MalformedMessage as error:
            raise Refused(answer.status, f"The instance's answer cannot be read: {error}") from error

    async def put_facts(self, facts: Mapping[str, object]) -> None:
        """Report the machine's facts."""
        await self._call("PUT", agent_api.FACTS, facts)

    async def renew(self, request: str) -> str:
        """Return the next certificate chain (PEM) for a signing request."""
        body = agent_api.CertificateRequest(request).to_json()
        answer = await self._call("POST", agent_api.CERTIFICATES, body)
        try:
            return agent_api.Certificate.from_json(answer.json()).certificate
        except agent_api.MalformedMessage as error:
            raise Refused(answer.status, f"The certificate's answer cannot be read: {error}") from error

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        content: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """Make a call of the agent API that has no method here; ``content`` goes as it is, instead of JSON.

        Raises:
            Refused, Unreachable: as every call here.
        """
        return await self._call(method, path, body, content, headers)

    async def _call(
        self,
        method: str,
        path: str,
        body: object,
        content: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        url = self._config.endpoint + path
        more: dict[str, Any] = {"body": body} if content is None else {"content": content}
        if headers:
            more["headers"] = headers
        answer = await self._client.request(method, url, token=await self._fresh_token(), **more)
        if answer.status == 401:
            self._token = ""
            answer = await self._client.request(method, url, token=await self._fresh_token(), **more)
        if not answer.ok:
            raise Refused(answer.status, answer.reason, answer.error[0])
        return answer

    async def rejoin(self, request: Mapping[str, object]) -> str:
        """Return a certificate chain (PEM) for the proof of a key whose certificate has ended."""
        answer = await self._client.request("POST", self._config.endpoint + agent_api.REJOINS, body=request)
        if not answer.ok:
            raise Refused(answer.status, answer.reason, answer.error[0])
        return answer.text("certificate")

    async def _fresh_token(self) -> str:
        if not self._token or self._monotonic() > self._token_ends:
            self._token, lifetime = await self._fetch_token()
            self._token_ends = self._monotonic() + max(lifetime - EARLY_SECONDS, lifetime / 2)
        return self._token

    async def _fetch_token(self) -> tuple[str, float]:
        answer = await self._grant({"scope": agent_api.AUDIENCE + "/.default"})
        lifetime = answer.json().get("expires_in")
        return answer.text("access_token"), float(lifetime) if isinstance(lifetime, int | float) else 600.0

    async def machine_token(self, resource: str) -> Granted:
        """Return a new token of the machine's identity for a resource, whose ``aud`` is that very text.

        Raises:
            Refused, Unreachable: as every call here.
        """
        if self.quarantine:
            raise Refused(403, self.quarantine, CLONED)
        answer = await self._grant({"resource": resource})
        lifetime = answer.json().get("expires_in")
        if not isinstance(lifetime, int | float) or isinstance(lifetime, bool) or not 0 < lifetime < 1e7:
            raise Refused(answer.status, "The token's answer does not say how long it is good.")
        return Granted(answer.text("access_token"), float(lifetime))

    async def _grant(self, wanted: dict[str, str]) -> Response:
        """Prove the machine's key to the token endpoint; return the answer, which has a token."""
        config = self._config
        try:
            async with run("assertion", self._identity_file, config.clientId, config.tokenEndpoint) as child:
                assertion = await child.line()
        except ChildFailed as error:
            raise Refused(0, f"The machine's key cannot sign: {error}") from error
        form = {
            "grant_type": "client_credentials",
            "client_id": config.clientId,
            "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
            "client_assertion": assertion,
            **wanted,
        }
        answer = await self._client.request("POST", config.tokenEndpoint, form=form)
        if not answer.ok or not answer.text("access_token"):
            code, reason = answer.error[0], answer.reason
            raise Refused(answer.status, f"The machine's identity was refused: {reason}", code)
        return answer
