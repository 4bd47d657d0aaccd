"""Print an OpenSSH configuration for connected machines.

Each machine gets a ``Host`` of its own name, goes through the relay with ``sshProxy``, and
is believed only with the host keys that its agent reported. The relay credentials are
written to files that only you can read; the proxy renews them by itself when they expire.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from landbridge_server.ca.keyring import write_atomically
from landbridge_server.cli.arguments import CommandError, add_data
from landbridge_server.cli.arm_client import Arm, open_cloud

EXAMPLES = """examples:
  landbridge ssh-config --resource-group servers > ssh_config && ssh -F ssh_config web1
  landbridge ssh-config --resource-group servers --name web1 --user admin --port 2222 >> ~/.ssh/config
  scp -F ssh_config report.pdf web1:
  rsync -e 'ssh -F ssh_config' -a site/ web1:/srv/site/
"""

MACHINES = "Microsoft.HybridCompute/machines"
MACHINES_VERSION = "2024-07-10"
ENDPOINTS_VERSION = "2023-03-15"


class NoHostKeys(CommandError):
    """A machine whose host keys are not known must not be believed, so it gets no configuration."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what selects the machines and the login."""
    add_data(parser)
    parser.add_argument(
        "-g", "--resource-group", required=True, metavar="G", help="resource group of the machines"
    )
    parser.add_argument("-n", "--name", metavar="M", help="one machine (default: all of the group)")
    parser.add_argument(
        "-p", "--port", type=int, default=22, help="port of sshd on the machine (default: 22)"
    )
    parser.add_argument("-u", "--user", metavar="U", help="user to log in as (default: OpenSSH's own choice)")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="root certificate, when signed in by az")
    parser.add_argument("--renew", type=Path, metavar="FILE", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Write the credential files and print the configuration, or renew one credential file."""
    if not 1 <= options.port <= 65535:
        raise CommandError(f"--port {options.port} is not a port: 1 to 65535.")
    _check_word("--resource-group", options.resource_group)
    for flag, word in (("--name", options.name), ("--user", options.user)):
        if word is not None:
            _check_word(flag, word)
    arm = open_cloud(options.data, options.ca_file)
    if options.renew:
        machine = _machines(arm, options.resource_group, options.name)[0]
        _write_relay_info(arm, machine, options.renew, _renewal(options, machine))
        return 0
    folder = _folder(options.data, arm)
    machines = _machines(arm, options.resource_group, options.name)
    left_out = 0
    for machine in machines:
        try:
            text = _host(arm, machine, folder, options)
        except NoHostKeys as error:
            left_out += 1
            if left_out == len(machines):
                raise
            print(f"landbridge: left out: {error}", file=sys.stderr)
            continue
        sys.stdout.write(text)
    return 0


def _check_word(flag: str, word: str) -> None:
    """Refuse what would change the meaning of a line of the configuration, or of an address."""
    if not word or not word.isprintable() or not set(word).isdisjoint(" \"'#%/?\\"):
        raise CommandError(f"{flag} '{word}' is not a name.")


def _machines(arm: Arm, group: str, name: str | None) -> list[dict[str, Any]]:
    base = f"/subscriptions/{arm.subscription_id}/resourceGroups/{group}/providers/{MACHINES}"
    if name:
        return [arm.call("GET", f"{base}/{name}?api-version={MACHINES_VERSION}")]
    found = arm.listed(f"{base}?api-version={MACHINES_VERSION}")
    if not found:
        raise CommandError(f"There is no connected machine in the resource group '{group}'.")
    return found


def _folder(data: Path, arm: Arm) -> Path:
    if (data / "admin.json").exists():
        return (data / "ssh").absolute()
    return Path.home() / ".local" / "state" / "landbridge" / "ssh" / arm.subscription_id


def _renewal(options: argparse.Namespace, machine: dict[str, Any]) -> list[str]:
    """Return the command with which the proxy renews the credentials of one machine."""
    command = [sys.executable, "-m", "landbridge_server.cli.main", "ssh-config"]
    command += ["--data", str(options.data.absolute()), "--resource-group", options.resource_group]
    command += ["--name", machine["name"], "--port", str(options.port)]
    return command + (["--ca-file", str(options.ca_file.absolute())] if options.ca_file else [])


def _write_relay_info(arm: Arm, machine: dict[str, Any], path: Path, renewal: list[str]) -> None:
    credentials = arm.call(
        "POST",
        f"{machine['id']}/providers/Microsoft.HybridConnectivity/endpoints/default/listCredentials"
        f"?expiresin=10800&api-version={ENDPOINTS_VERSION}",
        {"serviceName": "SSH"},
    )
    info: dict[str, Any] = {"relay": credentials["relay"]}
    if arm.ca_file:
        info["caFile"] = str(arm.ca_file.absolute())
    info["refresh"] = {"argv": [*renewal, "--renew", str(path)]}
    write_atomically(path, base64.b64encode(json.dumps(info).encode()))


def _host_keys(machine: dict[str, Any], port: int) -> list[str]:
    reported = machine.get("properties", {}).get("detectedProperties", {})
    lines = str(reported.get(f"sshHostKeys:{port}", "")).splitlines()
    if not lines:
        raise NoHostKeys(
            f"The agent of '{machine['name']}' has not reported the host keys of an sshd on port {port}. "
            f"Is sshd running there, and is the port allowed? "
            f"On the machine: azcmagent config set incomingconnections.ports {port}"
        )
    return lines


def _host(arm: Arm, machine: dict[str, Any], folder: Path, options: argparse.Namespace) -> str:
    own = folder / f"{options.resource_group}-{machine['name']}-{options.port}".lower()
    alias = str(machine["id"]).lower()
    keys = "".join(f"{alias} {line}\n" for line in _host_keys(machine, options.port))
    write_atomically(own / "known_hosts", keys.encode())
    _write_relay_info(arm, machine, own / "relay_info", _renewal(options, machine))
    lines = [
        f"Host {machine['name']}",
        f"    HostName {machine['name']}",
        f"    HostKeyAlias {alias}",
        f'    UserKnownHostsFile "{own / "known_hosts"}"',
        "    GlobalKnownHostsFile /dev/null" if os.name == "posix" else "    GlobalKnownHostsFile NUL",
        "    StrictHostKeyChecking yes",
        "    UpdateHostKeys no",
        "    CheckHostIP no",
        f'    ProxyCommand "{_proxy()}" -r "{own / "relay_info"}" -p {options.port}',
    ]
    if options.user:
        lines.insert(2, f"    User {options.user}")
    return "\n".join(lines) + "\n\n"


def _proxy() -> str:
    beside = Path(sys.executable).parent / "sshProxy"
    found = str(beside) if beside.exists() else shutil.which("sshProxy")
    if not found:
        raise CommandError("sshProxy is not installed: it belongs beside this program, or on the PATH.")
    return found
