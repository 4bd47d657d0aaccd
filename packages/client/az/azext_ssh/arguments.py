"""The options of ``az ssh``, by the names that the well-known extension gave them."""

from __future__ import annotations

from typing import Any


def load(loader: Any) -> None:
    """Register every option of every command."""
    for command in ("ssh arc", "ssh vm", "ssh config"):
        with loader.argument_context(command) as context:
            _of_a_machine(context, direct=command != "ssh arc")
    for command in ("ssh arc", "ssh vm"):
        with loader.argument_context(command) as context:
            context.argument(
                "winrdp",
                options_list=["--winrdp", "--rdp"],
                action="store_true",
                help="Not supported: this extension is for SSH.",
            )
            context.positional(
                "ssh_args", nargs="*", help="Further arguments of ssh, after --: options or a command."
            )
    with loader.argument_context("ssh config") as context:
        context.argument("config_path", options_list=["--file", "-f"], help="The file to write.")
        context.argument("overwrite", action="store_true", help="Replace the file; otherwise add to it.")
        context.argument(
            "credentials_folder",
            options_list=["--keys-destination-folder", "--keys-dest-folder"],
            help="Where the credentials of the relay are written. Defaults to az_ssh_config beside the file.",
        )
    with loader.argument_context("ssh cert") as context:
        context.argument("cert_path", options_list=["--file", "-f"], help="The file to write.")
        context.argument("public_key_file", options_list=["--public-key-file", "-p"], help="The public key.")
        context.argument("ssh_client_folder", options_list=["--ssh-client-folder"], help="Where ssh is.")


def _of_a_machine(context: Any, direct: bool) -> None:
    context.argument(
        "resource_group_name", options_list=["--resource-group", "-g"], help="The machine's resource group."
    )
    context.argument("vm_name", options_list=["--vm-name", "--name", "-n"], help="The machine's name.")
    context.argument("local_user", options_list=["--local-user"], help="A local user of the machine.")
    context.argument("port", options_list=["--port"], help="The port of sshd on the machine (22).")
    context.argument(
        "resource_type", options_list=["--resource-type"], help="Microsoft.HybridCompute/machines."
    )
    context.argument("private_key_file", options_list=["--private-key-file", "-i"], help="The private key.")
    context.argument("public_key_file", options_list=["--public-key-file", "-p"], help="The public key.")
    context.argument(
        "cert_file",
        options_list=["--certificate-file", "-c"],
        help="An OpenSSH certificate of the local user; needs --local-user.",
    )
    context.argument("ssh_client_folder", options_list=["--ssh-client-folder"], help="Where ssh is.")
    context.argument(
        "ssh_proxy_folder",
        options_list=["--ssh-proxy-folder"],
        help="Accepted; the proxy comes with this extension and nothing is downloaded.",
    )
    context.argument(
        "yes_without_prompt",
        options_list=["--yes-without-prompt", "--yes", "-y"],
        action="store_true",
        help="Allow a port without asking.",
    )
    if direct:
        context.argument(
            "ssh_ip", options_list=["--ip", "--hostname"], help="Connect to this address, without the relay."
        )
        context.argument(
            "use_private_ip", options_list=["--prefer-private-ip"], action="store_true", help="Accepted."
        )
