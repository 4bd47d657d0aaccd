"""The real ``az``, for tests with many commands: what it imports is imported once, each command forks.

Run as a program (by az's own Python) this file is the server: a line of JSON on stdin names the
words of a command and the files for its output; its exit code comes back on stdout. ``az`` looks
at its configuration folder when it is imported, so that is a link, which is set for each command.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __name__ != "__main__":
    from real_az import Az

MODULES = (
    "azure.cli.core.auth.identity",
    "azure.cli.command_modules.role.custom",
    "azure.cli.command_modules.resource.custom",
    "azure.mgmt.authorization",
    "azure.mgmt.resource",
)


def serve(with_all_commands: bool) -> None:
    """Answer commands until stdin ends."""
    from azure.cli.core import MainCommandsLoader, get_default_cli  # type: ignore[import-not-found]

    for name in MODULES:
        importlib.import_module(name)
    if with_all_commands:  # under a profile az loads every module for every command
        MainCommandsLoader(get_default_cli()).load_command_table(None)
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            run(wanted)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(wanted: dict[str, Any]) -> None:
    """Do what ``python -m azure.cli`` does, and end the process."""
    for number, name in ((0, os.devnull), (1, wanted["stdout"]), (2, wanted["stderr"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.environ["HOME"] = wanted["home"]
    code: Any = 1
    try:
        from azure.cli.core import get_default_cli

        sys.argv = ["az", *wanted["words"]]
        code = get_default_cli().invoke(wanted["words"])
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


class Server:
    """The process that all persons' commands are forked from, one after the other."""

    def __init__(self, version: str, ca_file: Path) -> None:
        self.version = version
        self.folder = Path(tempfile.mkdtemp(prefix="az-"))
        cold = Az(version, self.folder, ca_file)
        assert cold.program.exists(), "Run tools/client_environments.sh first, as ./test does."
        self.link = Path(cold.environment["AZURE_CONFIG_DIR"])
        (self.folder / "nobody").mkdir()
        self.link.symlink_to(self.folder / "nobody")
        self.process = subprocess.Popen(
            [cold.program.with_name("python"), __file__, "all" if version == "2.66" else "few"],
            env=cold.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.count = 0

    def call(self, home: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of the person with this home folder to its end."""
        self.count += 1
        self.link.unlink()
        self.link.symlink_to(home)
        files = {name: self.folder / f"{self.count}.{name}" for name in ("stdout", "stderr")}
        wanted = {"words": words, "home": str(home)} | {name: str(path) for name, path in files.items()}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        said = {name: path.read_text() for name, path in files.items()}
        return subprocess.CompletedProcess(list(words), code, **said)

    def stop(self) -> None:
        """End it, and forget everybody."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        shutil.rmtree(self.folder)


class WarmAz:
    """One person's ``az``, as ``real_az.Az`` is."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.version = server.version
        self.home = server.folder / name
        self.home.mkdir()

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return self.server.call(self.home, words)

    def __call__(self, *words: str) -> Any:
        """Run a command, which must succeed; return its JSON, or None when it printed nothing."""
        done = self.call(*words, "-o", "json")
        assert done.returncode == 0, f"az {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None


if __name__ == "__main__":
    serve(sys.argv[1] == "all")
