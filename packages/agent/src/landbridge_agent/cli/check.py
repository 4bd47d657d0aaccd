"""``azcmagent check``: can this machine reach what it needs, the way the agent does.

The same CA, proxy and client are used as by the agent itself. Each row is one address; a row
that fails says why, and what to do. Any failure is AZCM0026.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.connecting import SKEW_SECONDS
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cloud import METADATA, Cloud, Metadata, choose, client_for, metadata, unreachable
from landbridge_agent.codes import AgentError
from landbridge_agent.daemon.control_plane import ControlPlane, Refused
from landbridge_agent.dial import Dialer, Proxy, Unreachable, trust
from landbridge_agent.facts import fingerprint
from landbridge_agent.machine import AgentConfig, Machine

HEADER = ("ENDPOINT", "REACHABLE", "PRIVATE", "TLS", "PROXY", "LATENCY", "ADDRESS", "ISSUER")
UNKNOWN = "unknown"


class Row(NamedTuple):
    """What was found of one endpoint; ``why`` is empty when it can be reached."""

    endpoint: str
    use: str
    private: str = UNKNOWN
    tls: str = UNKNOWN
    proxy: str = "not set"
    latency: str = ""
    address: str = ""
    issuer: str = ""
    why: str = ""
    remedy: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        return (
            self.endpoint, "false" if self.why else "true", self.private, self.tls,
            self.proxy, self.latency, self.address, self.issuer,
        )  # fmt: skip


def run(call: Call) -> int:
    """Check every endpoint; 0 when all can be reached, else AZCM0026."""
    _refuse_unsupported(call)
    machine = Machine(call.paths)
    config = machine.config()
    cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"), config)
    if config is not None and cloud.endpoint != config.endpoint:
        config = None
    call.out.info("Testing connectivity to endpoints that are needed to connect to Azure...")
    check = _Check(call, machine, cloud, config)
    asyncio.run(check.run())
    if call.out.json:
        call.out.object(check.to_json())
    else:
        _print(call, check)
    failed = [row for row in check.rows if row.why]
    if not failed and not check.identity_error:
        return 0
    if call.out.json:
        return 26
    first = failed[0] if failed else None
    detail = f"{len(failed)} of {len(check.rows)} endpoints cannot be reached."
    raise AgentError(26, detail if first else check.identity_error, first.remedy if first else "")


def _refuse_unsupported(call: Call) -> None:
    values = call.values
    if values.arguments == ["tpm"]:
        raise AgentError(28, "This agent keeps its key in a file and uses no TPM.")
    if values.arguments:
        raise AgentError(23, f"Unexpected argument '{values.arguments[0]}'.")
    if values.on("enable-pls-check") or values.on("use-private-link"):
        detail = "This cloud has no private link scopes; PRIVATE says whether an address is private."
        raise AgentError(3, detail, "Leave --enable-pls-check out.")
    wanted = values.text("extensions").lower()
    if wanted == "sql":
        raise AgentError(
            3, "This cloud has no SQL Server extension.", "Leave --extensions out, or say 'all'."
        )
    if wanted not in ("", "all"):
        raise AgentError(23, f"--extensions is 'all' or 'sql', not '{wanted}'.")


class _Check:
    """One check under way."""

    def __init__(self, call: Call, machine: Machine, cloud: Cloud, config: AgentConfig | None) -> None:
        self._machine, self._cloud, self._config = machine, cloud, config
        self._proxy = proxy_of(machine, call.environment)
        self._client = client_for(cloud, self._proxy)
        self._clock = call.clock
        self.rows: list[Row] = []
        self.skew: float | None = None
        self.identity = ""
        self.identity_error = ""

    async def run(self) -> None:
        wanted = {self._cloud.endpoint: "resource manager and agent service"}
        names = await self._names(wanted)
        if names is not None:
            wanted.setdefault(names.resource_manager, "resource manager")
            wanted.setdefault(_origin(names.login), "sign-in")
            if self._config is not None:
                await self._session(wanted)
        for endpoint, use in wanted.items():
            self.rows.append(await probe(endpoint, use, self._cloud, self._proxy))

    async def _names(self, wanted: dict[str, str]) -> Metadata | None:
        try:
            names = await metadata(self._client, self._cloud)
        except AgentError:
            return None  # the endpoint's own row says why
        if names.server_time is not None:
            self.skew = self._clock() - names.server_time
        return names

    async def _session(self, wanted: dict[str, str]) -> None:
        """As the machine: is its identity accepted, and where is its relay?"""
        if self._config is None:
            return
        identity = str(self._machine.paths.identity)
        computer = fingerprint.read(self._machine.paths)
        api = ControlPlane(self._client, self._config, identity, time.monotonic, computer, instance="")
        try:
            session = await api.session()
        except (Refused, Unreachable) as error:
            self.identity, self.identity_error = "refused", f"The machine's identity is not accepted: {error}"
            return
        self.identity = "accepted"
        wanted.setdefault("https" + _origin(session.listenAddress).removeprefix("wss"), "relay")

    def to_json(self) -> dict[str, object]:
        """Return everything that was found."""
        rows = [{**row._asdict(), "reachable": not row.why, "error": row.why} for row in self.rows]
        for row in rows:
            del row["why"]
        return {
            "endpoints": rows,
            "clockSkewSeconds": round(self.skew) if self.skew is not None else None,
            "identity": self.identity or "not connected",
            "identityError": self.identity_error,
            "criticalFailures": sum(1 for row in self.rows if row.why) + bool(self.identity_error),
        }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def probe(
    endpoint: str, use: str, cloud: Cloud, proxy: Proxy, clock: Callable[[], float] = time.perf_counter
) -> Row:
    """Open a TLS connection to an endpoint as the agent would; never raises for a network's sake."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or 443
    through = proxy.serves(host)
    row = Row(endpoint, use, proxy="set" if through else ("bypassed" if proxy.url else "not set"))
    if not through:
        row = await _resolved(row, host, port)
    begun = clock()
    try:
        transport, _ = await Dialer(trust(cloud.ca_file), proxy).open(endpoint + METADATA, asyncio.Protocol)
    except Unreachable as error:
        explained = unreachable(error)
        return row._replace(why=explained.detail, remedy=explained.remedy)
    took = clock() - begun
    tls = transport.get_extra_info("ssl_object")
    version = str(tls.version() or UNKNOWN).replace("TLSv", "TLS ") if tls else UNKNOWN
    issuer = _name(tls.getpeercert()) if tls else ""
    transport.abort()
    return row._replace(tls=version, latency=f"{took * 1000:.0f} ms", issuer=issuer)


async def _resolved(row: Row, host: str, port: int) -> Row:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return row
    address = str(found[0][4][0])
    return row._replace(
        address=address, private=str(ipaddress.ip_address(address.split("%")[0]).is_private).lower()
    )


def _name(certificate: dict[str, object] | None) -> str:
    """Return the common name of a certificate's issuer."""
    issuer = (certificate or {}).get("issuer", ())
    for group in issuer if isinstance(issuer, tuple) else ():
        for key, value in group:
            if key == "commonName":
                return str(value)
    return ""


def _print(call: Call, check: _Check) -> None:
    table = [HEADER, *(row.cells for row in check.rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
    for line in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        call.out.print(" |".join(cells).rstrip())
    for row in check.rows:
        if row.why:
            call.out.print(f"{row.endpoint} ({row.use}): {row.why} {row.remedy}")
    if check.skew is not None:
        ahead = "ahead of" if check.skew > 0 else "behind"
        late = abs(check.skew) > SKEW_SECONDS
        note = ": set it right, or signatures will be refused" if late else ""
        call.out.print(f"Clock: {abs(check.skew):.0f} s {ahead} the cloud's{note}")
    if check.identity:
        call.out.print(f"Identity of this machine: {check.identity}")


COMMAND = Command(
    name="check",
    summary="Check that this machine reaches what the agent needs",
    synopsis="""
Opens a connection to every address that the agent needs, with the CA and through the proxy that
it uses, and prints what was found. A machine that is connected also proves its identity.

  azcmagent check
  azcmagent check --location "eastus"
  azcmagent check --extensions all
  azcmagent check --cloud https://cloud.example:9443 --ca-file ca.pem --json
""",
    flags=(
        Flag("cloud", "", "URL of the control plane. Defaults to the connected or installed one"),
        Flag("ca-file", "", "File with the CA of the control plane (PEM)"),
        Flag("extensions", "e", "Check what extensions need too: all; they come from the same addresses"),
        Flag("include-all", "", "As --extensions all", switch=True),
        Flag("location", "l", "Location to connect to; all are served by the same addresses"),
        Flag("enable-pls-check", "p", "Not supported: there are no private link scopes", switch=True),
        Flag("use-private-link", "", "As --enable-pls-check", switch=True, hidden=True),
    ),
    run=run,
)
