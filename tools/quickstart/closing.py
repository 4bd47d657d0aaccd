"""What a newcomer can do next: the exact lines."""

from __future__ import annotations

import shlex

from quickstart.cloud import Admin
from quickstart.places import Places

CLOUD_NAME = "Landbridge"


def az_lines(places: Places, admin: Admin) -> list[str]:
    """Return the shell lines that sign an unmodified ``az`` in.

    They keep to a configuration folder of their own, and replace the trust of that shell's
    ``az`` by the public authorities and ours. The secret is read by ``az`` itself, from a
    file: an argument could be read by everybody on the machine.
    """
    secret = shlex.quote(f"@{places.client_secret}")
    return [
        f"export AZURE_CONFIG_DIR={shlex.quote(str(places.root / 'az'))}",
        f"export REQUESTS_CA_BUNDLE={shlex.quote(str(places.ca_bundle))}",
        "az config set core.instance_discovery=false",
        f"az cloud register -n {CLOUD_NAME} --endpoint-resource-manager {admin.url}",
        f"az cloud set -n {CLOUD_NAME}",
        f"az login --service-principal -u {admin.client_id} -p {secret} --tenant {admin.tenant}",
    ]


def closing(places: Places, admin: Admin, machine: str) -> str:
    """Return the text that ends a successful start."""
    sign_in = "\n".join("  " + line for line in az_lines(places, admin))
    ssh = f"ssh -F {shlex.quote(str(places.ssh_config))}"
    return f"""
{machine} is connected to your own cloud at {admin.url}, and no port was opened for it.

Log in over the relay:
  {ssh} {machine}

Sign in with az (2.91; other versions: README.md):
{sign_in}
or as a person, in a browser:
  az login --use-device-code --tenant {admin.tenant}
  as {admin.user_name}; the password is in {places.root / "admin.json"}

The cloud's CA: {admin.ca_file}
Its programs:   {places.programs}  (landbridge, azcmagent, himdsd, extd, sshProxy)
The agent:      LANDBRIDGE_AGENT_ROOT={places.agent} {places.programs / "azcmagent"} show
Logs:           {places.log("landbridge").parent}

Ctrl-C ends it; run ./quickstart again to go on where you left.
"""
