"""``azcmagent genkey``: a key pair for a machine that somebody else creates in the cloud.

The public half goes into the resource (``clientPublicKey``); the private half stays here,
for ``azcmagent connect existing``. No credential of the cloud ever reaches this machine.
"""

from __future__ import annotations

from landbridge_agent import onboarding_key
from landbridge_agent.cli.command import Call, Command
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import Machine, StateError


def run(call: Call) -> int:
    """Print the public key of a new pair; an older pair of ``genkey`` is replaced."""
    private = onboarding_key.new()
    try:
        Machine(call.paths).save_onboarding_key(private)
    except StateError as error:
        raise AgentError(103, str(error)) from error
    public = onboarding_key.public(private)
    if call.out.json:
        call.out.object({"publicKey": public, "privateKeyFile": str(call.paths.onboarding_key)})
    else:
        call.out.print(public)
    return 0


COMMAND = Command(
    name="genkey",
    summary="Generate a key pair for a machine that is created in the cloud first",
    synopsis="""
Generates an RSA key pair and prints the public key (base64 of its PKCS#1 DER form). The private
key is kept on this machine, for root alone. An older key of this command is replaced.

Whoever may write machines creates the resource with that key, for example:

  az resource create -g GROUP -n NAME --resource-type Microsoft.HybridCompute/machines \\
    --is-full-object --properties '{"location": "REGION", "identity": {"type": "SystemAssigned"},
    "properties": {"vmId": "GUID", "clientPublicKey": "KEY"}}'

Then, on this machine:

  azcmagent connect existing --subscription-id <> --resource-group GROUP --resource-name NAME
""",
    flags=(),
    run=run,
    needs_root=True,
)
