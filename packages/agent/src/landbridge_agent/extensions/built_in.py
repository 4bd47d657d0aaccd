"""CustomScript, the extension that every agent has: its package is made of the agent's own files.

Its handler is this agent's own module, run by the interpreter that runs the agent. The manifest is
written anew whenever the handler is used, since an upgrade of the agent may have moved that interpreter.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from landbridge_agent.extensions import files
from landbridge_agent.extensions.manifest import MANIFEST, OPERATIONS
from landbridge_agent.extensions.names import Handler

CUSTOM_SCRIPT = Handler("Microsoft.Azure.Extensions", "CustomScript", "2.1.13")
MODULE = "landbridge_agent.extensions.custom_script"


def write(folder: Path, interpreter: str) -> None:
    """Have the built-in handler in a folder, made now or before.

    Raises:
        OSError: it cannot be written.
    """
    command = shlex.join([interpreter, "-I", "-m", MODULE])
    said: dict[str, object] = {f"{name}Command": f"{command} {name}" for name in OPERATIONS}
    said |= {"rebootAfterInstall": False, "reportHeartbeat": False, "updateMode": "UpdateWithInstall"}
    value = [{"name": CUSTOM_SCRIPT.type, "version": 1.0, "handlerManifest": said}]
    if folder.is_dir():
        if files.read_json(folder / MANIFEST) != value:
            files.write_json(folder / MANIFEST, value)
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    fresh = folder.parent / f"{files.TEMPORARY}{os.getpid()}-{folder.name}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    files.write_json(fresh / MANIFEST, value)
    fresh.rename(folder)
    files.sync_folder(folder.parent)
