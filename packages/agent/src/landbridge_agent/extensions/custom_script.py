"""CustomScript's handler: ``python -I -m landbridge_agent.extensions.custom_script OPERATION`` in its folder.

It keeps the contract that every handler keeps (contract: agent, 4.2 and 4.4): settings and number from
files and the environment, a status file, ``mrseq`` so that no number is run twice. What is run has
``/bin/sh``, the folder ``custom-script/download/<number>``, and 90 minutes; the command itself is in
no program's arguments, as it may hold secrets.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landbridge_agent.extensions import cms, downloads, files, machine_key, script_settings
from landbridge_agent.extensions.built_in import CUSTOM_SCRIPT
from landbridge_agent.extensions.downloads import DownloadFailed
from landbridge_agent.extensions.records import when
from landbridge_agent.extensions.script_settings import BadSettings, Wanted
from landbridge_agent.work import processes, tree
from landbridge_agent.work.processes import Ended, Limits

RUN_SECONDS = 90 * 60.0
TEXT = 1024 * 1024
"""Files up to this many bytes lose the line ends of DOS."""
_TEXTS = (".sh", ".bash", ".py", ".pl", ".txt")
KEEP_RUNS = 3
INSTALL_FAILED, FAILED = 52, 3
NO_CERTIFICATE, BAD_CONFIGURATION, DOWNLOAD, DOWNLOAD_REQUEST = -20, -21, -40, -41
COMMAND = "LANDBRIDGE_COMMAND"
EVALUATE = f'command=${COMMAND}; unset {COMMAND}; eval "$command"'
MEANINGS = {
    126: "the shell could not execute it: it is not executable, or its file system is mounted noexec",
    127: "the shell did not find a command; programs of fileUris lie in the current folder: ./NAME",
}


class Failed(Exception):
    """The script was not run, or failed; ``code`` goes into the status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Handler:
    """The handler in its folder. ``environment`` is that of the process."""

    def __init__(self, folder: Path, environment: Mapping[str, str], now: float) -> None:
        self.folder, self.environment, self.now = folder, environment, now
        self.data = folder.parent / "custom-script"
        number = environment.get("ConfigSequenceNumber", "")
        self.number = int(number) if number.isdigit() and number.isascii() else 0

    def carry_out(self, operation: str) -> int:
        """Carry out an operation and return the exit code of the process."""
        doing = {"install": self.install, "enable": self.enable, "uninstall": self.uninstall}
        return doing.get(operation, self.nothing)()

    def nothing(self) -> int:
        """Disable and update have nothing to do: no process of the handler stays."""
        return 0

    def install(self) -> int:
        """Make the folder of the runs."""
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            print(f"{self.data} cannot be made: {error.strerror}", file=sys.stderr)
            return INSTALL_FAILED
        return 0

    def uninstall(self) -> int:
        """Remove what the runs have left."""
        shutil.rmtree(self.data, ignore_errors=True)
        return 0

    def enable(self) -> int:
        """Run what the settings ask for, unless their number was run before."""
        if self.number <= self._done():
            print(f"Number {self.number} was run before and is not run again.")
            return 0
        files.write(self.folder / "mrseq", str(self.number).encode())  # first: never a second time
        try:
            self._say("transitioning", 0, "Enable in progress")
            said = self._run(self._wanted())
        except Failed as error:
            self._say("error", error.code, f"Enable failed: {error}")
            return FAILED
        self._say("success", 0, f"Enable succeeded: {said}")
        return 0

    def _done(self) -> int:
        try:
            return int((self.folder / "mrseq").read_text("ascii"))
        except (OSError, ValueError):
            return -1

    # -- what is asked for -------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        value = files.read_object(self.folder / f"config/{self.number}.settings")
        try:
            given = value["runtimeSettings"][0]["handlerSettings"]
            return script_settings.read(given.get("publicSettings") or {}, self._protected(given))
        except BadSettings as error:
            raise Failed(f"invalid configuration: {error}", BAD_CONFIGURATION) from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise Failed("invalid configuration: the settings cannot be read.", BAD_CONFIGURATION) from error

    def _protected(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        sealed = given.get("protectedSettings")
        if not sealed:
            return {}
        try:
            key = machine_key.load_key(self.folder.parent, str(given.get("protectedSettingsCertThumbprint")))
            value = json.loads(cms.open_sealed(base64.b64decode(sealed), key))
        except (OSError, ValueError) as error:
            raise Failed(
                "the protected settings cannot be opened on this machine.", NO_CERTIFICATE
            ) from error
        return value if isinstance(value, dict) else {}

    # -- running it ------------------------------------------------------------------------------

    def _run(self, wanted: Wanted) -> str:
        place = self._place()
        self._fetch(wanted, place)
        ended = self._execute(wanted, place)
        said = f"\n[stdout]\n{ended.stdout_tail}\n[stderr]\n{ended.stderr_tail}"
        if ended.ok:
            return said
        meaning = MEANINGS.get(ended.exit_code or 0)
        why = f" ({meaning})" if meaning else ""
        if ended.timed_out:
            raise Failed(
                f"the command took longer than {RUN_SECONDS / 60:g} minutes and was ended{said}", FAILED
            )
        if ended.exit_code is None:
            signal = processes.signal_name(ended.signal or 0)
            raise Failed(f"failed to execute command: it was ended by the signal {signal}{said}", FAILED)
        text = f"failed to execute command: command terminated with exit status={ended.exit_code}{why}{said}"
        raise Failed(text, ended.exit_code)

    def _place(self) -> Path:
        runs = self.data / "download"
        place = runs / str(self.number)
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True, mode=0o700)
            old = sorted(
                (path for path in runs.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
            )
        except OSError as error:
            raise Failed(f"{place} cannot be made: {error.strerror}", BAD_CONFIGURATION) from error
        for path in old[:-KEEP_RUNS]:
            shutil.rmtree(path, ignore_errors=True)
        return place

    def _fetch(self, wanted: Wanted, place: Path) -> None:
        for url in wanted.files:
            try:
                file = downloads.download(url, place, time.sleep)
            except DownloadFailed as error:
                code = DOWNLOAD_REQUEST if "HTTP 4" in str(error) else DOWNLOAD
                raise Failed(f"failed to download files: {error}", code) from error
            if not wanted.keep_line_ends and file.stat().st_size <= TEXT:
                content = file.read_bytes()
                if content.startswith(b"#!") or file.suffix in _TEXTS:
                    file.write_bytes(script_settings.to_unix(content))

    def _execute(self, wanted: Wanted, place: Path) -> Ended:
        environment = dict(self.environment)
        if wanted.script:
            script = wanted.script if wanted.keep_line_ends else script_settings.to_unix(wanted.script)
            file = place / "script.sh"
            files.write(file, script, 0o700)
            argv = [str(file)] if script.startswith(b"#!") else ["/bin/sh", str(file)]
        else:
            argv = ["/bin/sh", "-c", EVALUATE]
            environment[COMMAND] = wanted.command
        try:
            return processes.run(
                argv,
                env=environment,
                cwd=place,
                seconds=RUN_SECONDS,
                stdout=place / "stdout",
                stderr=place / "stderr",
                work_id=environment.get(tree.WORK_ID, "custom-script"),
                limits=Limits(processes=0),
                leave_running=True,
            )
        except OSError as error:
            why = f"the script cannot be started: {error.strerror or error}"
            raise Failed(f"failed to execute command: {why}", FAILED) from error

    # -- what it says ----------------------------------------------------------------------------

    def _say(self, status: str, code: int, message: str) -> None:
        said = {
            "name": CUSTOM_SCRIPT.full_name,
            "operation": "Enable",
            "status": status,
            "code": code,
            "formattedMessage": {"lang": "en", "message": message},
        }
        value = [{"version": 1, "timestampUTC": when(self.now), "status": said}]
        files.write_json(self.folder / f"status/{self.number}.status", value)


def main() -> int:
    """Carry out the operation that the first argument names, in the current folder."""
    operation = sys.argv[1] if len(sys.argv) > 1 else ""
    folder = Path(os.environ.get("AZURE_GUEST_AGENT_EXTENSION_PATH") or Path.cwd())  # noqa: TID251
    return Handler(folder, dict(os.environ), time.time()).carry_out(operation)  # noqa: TID251


if __name__ == "__main__":
    sys.exit(main())
