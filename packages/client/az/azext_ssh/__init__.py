"""``az ssh``: sessions to connected machines, by the commands and options that az's users know."""

from __future__ import annotations

from typing import Any

from azure.cli.core import AzCommandsLoader

from azext_ssh import help_texts  # noqa: F401 - registers the texts


class SshCommandsLoader(AzCommandsLoader):
    """Tells az the commands."""

    def __init__(self, cli_ctx: Any = None) -> None:
        from azure.cli.core.commands import CliCommandType

        super().__init__(
            cli_ctx=cli_ctx, custom_command_type=CliCommandType(operations_tmpl="azext_ssh.commands#{}")
        )

    def load_command_table(self, args: Any) -> Any:
        """Name the commands and what runs them."""
        with self.command_group("ssh") as group:
            group.custom_command("arc", "ssh_arc")
            group.custom_command("vm", "ssh_vm")
            group.custom_command("config", "ssh_config")
            group.custom_command("cert", "ssh_cert")
        return self.command_table

    def load_arguments(self, command: str) -> None:
        """Name the options."""
        from azext_ssh.arguments import load

        load(self)


COMMAND_LOADER_CLS = SshCommandsLoader
