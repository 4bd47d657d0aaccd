"""``azcmagent show``: what this machine is in the cloud, and how its agent is doing.

The status comes from himdsd; while that is not running, the machine is Disconnected, and
``show`` says so. Only rows are printed that this agent knows.
"""

from __future__ import annotations

from typing import NamedTuple

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.codes import AgentError
from landbridge_agent.facts import surroundings
from landbridge_agent.local_socket import STATUS, NotAnswering, ask
from landbridge_agent.machine import AgentConfig, Machine
from landbridge_agent.platform import here
from landbridge_agent.version import AGENT_VERSION

WIDTH = 40
DISCONNECTED = "Disconnected"
IDENTITY = ("identityEndpoint", "identityProblem")
"""Where the daemon serves metadata and tokens, or why it does not: so before a connect, too."""

SERVICES = ("himdsdStatus", "extdStatus", "gcadStatus")
"""The rows about services, which stand together."""


class Row(NamedTuple):
    """One property: the label in text, the key in JSON, its value."""

    label: str
    key: str
    value: str


def _extd_runs(call: Call) -> bool:
    """Say whether the extension service runs; it is there on Linux only."""
    if here().name != "linux":
        return False
    from landbridge_agent import work_lock

    return work_lock.is_held(call.paths)


def rows(call: Call, config: AgentConfig | None, live: dict[str, object], why: str) -> list[Row]:
    """Return every row in the original's order."""
    hardware = Machine(call.paths).hardware()
    found_databases = surroundings.databases()
    extension_service = "active" if _extd_runs(call) else "inactive"
    known = config or AgentConfig(*[""] * len(AgentConfig._fields))

    def said(name: str) -> str:
        value = live.get(name)
        return value if isinstance(value, str) else ""

    found = [
        Row("Resource Name", "resourceName", known.resourceName),
        Row("Resource Group Name", "resourceGroup", known.resourceGroup),
        Row("Resource Namespace", "resourceNamespace", "Microsoft.HybridCompute"),
        Row("Resource Id", "resourceId", known.resourceId),
        Row("Subscription ID", "subscriptionId", known.subscriptionId),
        Row("Tenant ID", "tenantId", known.tenantId),
        Row("VM ID", "vmId", known.vmId),
        Row("Correlation ID", "correlationId", known.correlationId),
        Row("VM UUID", "vmUuid", hardware.uuid),
        Row("Location", "location", known.location),
        Row("Physical Location", "physicalLocation", known.physicalLocation),
        Row("Cloud", "cloud", known.cloud),
        Row("Cloud Endpoint", "cloudEndpoint", known.endpoint),
        Row("Agent Version", "agentVersion", AGENT_VERSION),
        Row("Agent Logfile", "agentLogfile", str(call.paths.daemon_log)),
        Row("Agent Status", "status", said("status") or DISCONNECTED),
        Row("Agent Last Heartbeat", "lastHeartbeat", said("lastHeartbeat")),
        Row("Agent Error Code", "agentErrorCode", said("errorCode")),
        Row("Agent Error Details", "agentErrorDetails", said("errorDetails") or why),
        Row("Agent Error Timestamp", "agentErrorTimestamp", said("errorTimestamp")),
        Row("Using HTTPS Proxy", "httpsProxy", said("httpsProxy")),
        Row("Proxy Bypass List", "proxyBypass", said("proxyBypass")),
        Row("Identity Endpoint", "identityEndpoint", said("identityEndpoint")),
        Row("Identity Problem", "identityProblem", said("identityProblem")),
        Row("Cloud Provider", "cloudProvider", surroundings.cloud_provider(hardware)),
        Row("Manufacturer", "manufacturer", hardware.manufacturer),
        Row("Model", "model", hardware.model),
        Row("MSSQL Server Detected", "mssqlDetected", _word(found_databases["mssql"])),
        Row("MySQL Server Detected", "mysqlDetected", _word(found_databases["mysql"])),
        Row("PGSQL Server Detected", "pgsqlDetected", _word(found_databases["pgsql"])),
        Row("Agent Service (himdsd)", "himdsdStatus", "active" if live else "inactive"),
        Row("Extension Service (extd)", "extdStatus", extension_service),
        Row("GC Service (gcad)", "gcadStatus", extension_service),  # it is a part of extd
        Row("Portal Page", "portalPage", known.portal_page),
    ]
    if call.values.on("os"):
        found.append(Row("OS", "osSku", here().os_release().pretty_name))
    return found


def _word(found: bool) -> str:
    return "true" if found else "false"


def run(call: Call) -> int:
    """Print all properties, or those that were named."""
    config = Machine(call.paths).config()  # a daemon that has not noticed a disconnect yet is not asked
    live: dict[str, object] = {}
    why = ""
    try:
        live = ask(call.paths.socket, STATUS)
    except NotAnswering as error:
        why = f"The status is that of a machine whose agent service does not answer: {error}."
    if config is None:
        why = "This machine is not connected."
        live = {name: live[name] for name in ("httpsProxy", "proxyBypass", *IDENTITY) if name in live}
    found = rows(call, config, live, why)
    if call.values.arguments:
        found = _chosen(found, call.values.arguments)
    if call.out.json:
        call.out.object({row.key: row.value for row in found})
        return 0
    for row in found:
        if row.key in SERVICES and not call.values.arguments:
            if row.key == SERVICES[0]:
                call.out.print("Dependent Service Status")
            call.out.print(f"  {row.label:<{WIDTH - 2}}: {row.value}")
        else:
            call.out.print(f"{row.label:<{WIDTH}}: {row.value}")
    return 0


def _chosen(found: list[Row], names: list[str]) -> list[Row]:
    """Return the rows that are named by label or key, in the order asked for."""
    by_name = {name.lower(): row for row in found for name in (row.label, row.key)}
    missing = [name for name in names if name.lower() not in by_name]
    if missing:
        known = ", ".join(row.key for row in found)
        raise AgentError(23, f"There is no property '{missing[0]}'.", f"Known: {known}.")
    return [by_name[name.lower()] for name in names]


COMMAND = Command(
    name="show",
    summary="Gets machine metadata and Agent status. This is primarily useful for troubleshooting.",
    synopsis="""
Gets machine metadata and Agent status. This is primarily useful for troubleshooting.

  azcmagent show
  azcmagent show --json
  azcmagent show "Agent Status" "Agent Last Heartbeat"
  azcmagent show status lastHeartbeat
""",
    flags=(Flag("os", "", "Show the operating system too", switch=True),),
    run=run,
    syntax="azcmagent show [property...] [flags]",
)
