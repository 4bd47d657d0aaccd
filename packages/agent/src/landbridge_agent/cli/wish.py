"""What the resource of a new machine shall be, from the flags of ``connect``, checked."""

from __future__ import annotations

import socket
import uuid
from typing import NamedTuple

from landbridge_agent.cli import authenticate, join_code
from landbridge_agent.cli.command import Call
from landbridge_agent.cli.flags import Flag, Values
from landbridge_agent.cli.parameters import check_group, check_guid, resource_name, tags
from landbridge_agent.cli.refusals import no_arguments
from landbridge_agent.cli.resource_manager import machine_id
from landbridge_agent.codes import AgentError

FLAGS = (
    Flag("location", "l", "Location of the resource [Required]"),
    Flag("physical-location", "", "Physical location of the resource"),
    Flag("resource-group", "g", "Name of the resource group. [Required]"),
    Flag("resource-name", "n", "Name of the resource. Defaults to Host Name"),
    Flag("subscription-id", "s", "Subscription Id [Required]"),
    Flag("tags", "", "Tags for resource; -t takes them too where they have an '='"),
    Flag("join-code", "", "Code of 'landbridge join-code create', or - to read it from stdin"),
    Flag("correlation-id", "", "GUID that marks this connect in the logs"),
    Flag("ignore-network-check", "", "Accepted; no check is made beforehand", switch=True, hidden=True),
    Flag("skip-network-check", "", "As --ignore-network-check", switch=True, hidden=True),
    Flag("identity-key-store", "", "Where the key is kept: Default", hidden=True),
    Flag("use-aws-ec2-hostname", "", "Not offered", switch=True, hidden=True),
    Flag("enable-automatic-upgrade", "", "Not offered", switch=True, hidden=True),
    Flag("gateway-id", "", "Not offered", hidden=True),
    Flag("private-link-scope", "", "Not offered", hidden=True),
    Flag("automanage-profile", "", "Not offered", hidden=True),
    *authenticate.FLAGS,
)


NOT_OFFERED = {
    "gateway-id": "gateway: machines reach it directly or through a proxy",
    "private-link-scope": "private link scopes",
    "automanage-profile": "Automanage",
    "enable-automatic-upgrade": "automatic upgrade of agents",
    "use-aws-ec2-hostname": "names from EC2: say which with --resource-name",
}
"""What flags of the original ask for that nothing here could do."""


class Wish(NamedTuple):
    """What the resource shall be, checked."""

    subscription: str
    group: str
    name: str
    location: str
    tags: dict[str, str]
    physical_location: str
    correlation_id: str
    tenant: str

    @property
    def resource_id(self) -> str:
        """The id of the resource."""
        return machine_id(self.subscription, self.group, self.name)


def read(call: Call) -> Wish:
    """Return what the command line asks for.

    Raises:
        AgentError: AZCM0016 something is missing, AZCM0023 it cannot be, AZCM0003 not offered here.
    """
    values = call.values
    no_arguments(values)
    _refuse_what_is_not_offered(values)
    join_code.take(values)
    values.require("subscription-id", "resource-group", "location")
    given_tags, tenant = values.text("tags"), values.text("tenant-id")
    if "=" in tenant:  # -t meant tags in 2019
        given_tags, tenant = (f"{given_tags},{tenant}" if given_tags else tenant), ""
    authenticate.check(values, tenant)
    return Wish(
        subscription=values.text("subscription-id"),
        group=check_group(values.text("resource-group")),
        name=resource_name(values.text("resource-name"), socket.gethostname()),
        location=values.text("location").replace(" ", ""),
        tags=tags(given_tags),
        physical_location=values.text("physical-location"),
        correlation_id=check_guid("correlation-id", values.text("correlation-id")) or str(uuid.uuid4()),
        tenant=tenant,
    )


def _refuse_what_is_not_offered(values: Values) -> None:
    for name, what in NOT_OFFERED.items():
        if values.text(name) or values.on(name):
            raise AgentError(3, f"--{name}: this cloud has no {what}.", f"Leave --{name} out.")
    store = values.text("identity-key-store").lower()
    if store == "tpm":
        raise AgentError(28, "--identity-key-store TPM: this agent keeps its key in a file for root alone.")
    if store not in ("", "default"):
        raise AgentError(23, f"--identity-key-store is Default or TPM, not '{store}'.")
