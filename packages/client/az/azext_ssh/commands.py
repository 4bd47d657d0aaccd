"""What the commands do. Directory users need certificates, which this cloud does not give yet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from azure.cli.core._environment import get_config_dir
from azure.cli.core.azclierror import (
    FileOperationError,
    InvalidArgumentValueError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
    ValidationError,
)

from azext_ssh import resource_manager, session

NO_DIRECTORY_USERS = (
    "Directory users cannot log in by SSH yet: this cloud gives no SSH certificates. "
    "Name a local user of the machine with --local-user."
)


# az reads the options from these signatures.


def ssh_arc(
    cmd: Any,
    resource_group_name: str | None = None,
    vm_name: str | None = None,
    local_user: str | None = None,
    port: str | None = None,
    resource_type: str | None = None,
    private_key_file: str | None = None,
    public_key_file: str | None = None,
    cert_file: str | None = None,
    ssh_client_folder: str | None = None,
    ssh_proxy_folder: str | None = None,
    yes_without_prompt: bool = False,
    winrdp: bool = False,
    ssh_args: list[str] | None = None,
) -> None:
    """Run ``az ssh arc``."""
    _run(cmd, ssh_args or [], locals())


def ssh_vm(
    cmd: Any,
    resource_group_name: str | None = None,
    vm_name: str | None = None,
    local_user: str | None = None,
    port: str | None = None,
    resource_type: str | None = None,
    private_key_file: str | None = None,
    public_key_file: str | None = None,
    cert_file: str | None = None,
    ssh_client_folder: str | None = None,
    ssh_proxy_folder: str | None = None,
    yes_without_prompt: bool = False,
    ssh_ip: str | None = None,
    use_private_ip: bool = False,
    winrdp: bool = False,
    ssh_args: list[str] | None = None,
) -> None:
    """Run ``az ssh vm``."""
    _run(cmd, ssh_args or [], locals())


def ssh_cert(
    cmd: Any,
    cert_path: str | None = None,
    public_key_file: str | None = None,
    ssh_client_folder: str | None = None,
) -> None:
    """Refuse ``az ssh cert``."""
    raise ValidationError(NO_DIRECTORY_USERS)


def ssh_config(
    cmd: Any,
    config_path: str,
    resource_group_name: str | None = None,
    vm_name: str | None = None,
    local_user: str | None = None,
    port: str | None = None,
    resource_type: str | None = None,
    private_key_file: str | None = None,
    public_key_file: str | None = None,
    cert_file: str | None = None,
    ssh_client_folder: str | None = None,
    ssh_proxy_folder: str | None = None,
    yes_without_prompt: bool = False,
    ssh_ip: str | None = None,
    use_private_ip: bool = False,
    overwrite: bool = False,
    credentials_folder: str | None = None,
) -> None:
    """Run ``az ssh config``."""
    _write_config(cmd, locals())


def _write_config(cmd: Any, options: dict[str, Any]) -> None:
    _check(options)
    file = Path(options["config_path"]).expanduser().absolute()
    if not file.parent.is_dir():
        raise FileOperationError(f"The folder {file.parent} does not exist.")
    folder = Path(options.get("credentials_folder") or file.parent / "az_ssh_config").expanduser().absolute()
    try:
        text = _host(cmd, folder, options)
        before = file.read_text() if file.exists() and not options.get("overwrite") else ""
        session.write_private(file, before + text)
    except OSError as error:
        raise FileOperationError(f"{error.filename or file} cannot be written: {error.strerror}.") from error


def _run(cmd: Any, ssh_args: list[str], options: dict[str, Any]) -> None:
    if options.get("winrdp"):
        raise ValidationError("--rdp is not supported by this extension: it is for SSH.")
    _check(options)
    port = session.port_of(options.get("port"))
    environment = dict(os.environ)  # noqa: TID251 - az has no main() of ours
    argv = [session.ssh_program(options.get("ssh_client_folder"))]
    if options.get("ssh_ip"):
        argv += [_word("--ip", options["ssh_ip"]), "-l", options["local_user"], "-p", str(port)]
    else:
        found = _machine(cmd, options)
        relay = resource_manager.relay_information(cmd, found["id"], port, lambda: _agreed(port, options))
        environment["SSHPROXY_RELAY_INFO"] = session.relay_text(relay)
        environment["SSHPROXY_CA_FILE"] = session.ca_file()
        argv += [found["name"], "-l", options["local_user"]]
        argv += ["-o", f"ProxyCommand={session.proxy_command(port)}"]
        for name, value in session.host_key_options(found, _known_hosts(found, port)):
            argv += ["-o", f"{name}={value}"]
    session.run([*argv, *_key_arguments(options), *ssh_args], environment)


def _check(options: dict[str, Any]) -> None:
    """Refuse what cannot be before anything is asked."""
    session.port_of(options.get("port"))
    by_name = options.get("resource_group_name") or options.get("vm_name")
    if options.get("ssh_ip") and by_name:
        raise MutuallyExclusiveArgumentError("Give either --ip, or --resource-group and --name.")
    if not options.get("ssh_ip") and not (options.get("resource_group_name") and options.get("vm_name")):
        raise RequiredArgumentMissingError("Name the machine with --resource-group and --name.")
    if not options.get("local_user"):
        if options.get("cert_file"):
            raise RequiredArgumentMissingError("--certificate-file needs --local-user.")
        raise ValidationError(NO_DIRECTORY_USERS)
    _word("--local-user", options["local_user"])


def _word(option: str, text: str) -> str:
    """Return a word that ssh takes as it is, and not as an option.

    Raises:
        CLIError: it is none.
    """
    if not text or text.startswith("-") or not text.isprintable() or re.search(r"[\s\"'%\\]", text):
        raise InvalidArgumentValueError(f"{option} '{text}' is not a name.")
    return text


def _machine(cmd: Any, options: dict[str, Any]) -> Any:
    return resource_manager.machine(
        cmd, options["resource_group_name"], options["vm_name"], options.get("resource_type")
    )


def _agreed(port: int, options: dict[str, Any]) -> None:
    """Have a person allow SSH to a port of the machine, unless ``--yes`` has.

    Raises:
        CLIError: nobody does.
    """
    if options.get("yes_without_prompt"):
        return
    from knack.prompting import NoTTYException, prompt_y_n

    question = f"SSH to port {port} of this machine is not allowed in the cloud yet. Allow it?"
    try:
        if prompt_y_n(question):
            return
    except NoTTYException:
        raise ValidationError(f"SSH to port {port} is not allowed yet: allow it with --yes.") from None
    raise ValidationError(f"SSH connection is not enabled in the target port {port}.")


def _key_arguments(options: dict[str, Any]) -> list[str]:
    private, public = options.get("private_key_file"), options.get("public_key_file")
    if public and not private:
        private = str(public).removesuffix(".pub")
    argv = ["-i", private] if private else []
    if options.get("cert_file"):
        argv += ["-o", f"CertificateFile={options['cert_file']}"]
    return argv


def _known_hosts(found: Any, port: int, folder: Path | None = None) -> Path | None:
    """Write the reported host keys; None when there are none."""
    lines = session.known_hosts(found, port)
    if not lines:
        return None
    name = re.sub(r"[^a-z0-9.-]", "_", session.host_key_alias(found))[-150:]
    path = (folder or Path(get_config_dir()) / "ssh_known_hosts") / f"{name}-{port}"
    session.write_private(path, lines)
    return path


def _host(cmd: Any, folder: Path, options: dict[str, Any]) -> str:
    """Return the Host block of a machine, and write what it names."""
    port, user = session.port_of(options.get("port")), options["local_user"]
    keys = _key_lines(options)
    if options.get("ssh_ip"):
        address = _word("--ip", options["ssh_ip"])
        return "\n".join([f"Host {address}", f"\tUser {user}", f"\tPort {port}", *keys, "", ""])
    found = _machine(cmd, options)
    relay = resource_manager.relay_information(cmd, found["id"], port, lambda: _agreed(port, options))
    name = f"{options['resource_group_name']}-{found['name']}"
    own = folder / name
    session.write_private(own / f"{name}-relay_info", _with_ca(relay))
    lines = [
        f"Host {name}-{user}",
        f"\tHostName {found['name']}",
        f"\tUser {user}",
        f"\tProxyCommand {session.proxy_command(port, own / f'{name}-relay_info')}",
        *keys,
    ]
    for option, value in session.host_key_options(found, _known_hosts(found, port, own)):
        lines.append(f"\t{option} {value}")
    return "\n".join([*lines, "", ""])


def _key_lines(options: dict[str, Any]) -> list[str]:
    words = _key_arguments(options)
    lines = [f'\tIdentityFile "{words[1]}"'] if "-i" in words else []
    if options.get("cert_file"):
        lines.append(f'\tCertificateFile "{options["cert_file"]}"')
    return lines


def _with_ca(relay: Any) -> str:
    """Return relay information for a file: it names the CA too, since ssh starts without az."""
    import base64
    import json

    return base64.b64encode(json.dumps({"relay": relay, "caFile": session.ca_file()}).encode()).decode()
