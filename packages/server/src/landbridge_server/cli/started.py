"""How a control plane was started last: kept in its folder, so that a restored one can be started alike.

The address of the store is left out: it may hold a password.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from landbridge_server.ca.keyring import write_atomically

FILE = "up.json"
LEFT_OUT = frozenset({"verb", "run", "data", "store", "store_file"})


def note(data: Path, options: argparse.Namespace, defaults: argparse.Namespace) -> None:
    """Write into the folder which options of ``landbridge up`` are not their defaults.

    Raises:
        OSError: it cannot be written.
    """
    content = json.dumps({"options": _words(options, defaults)}, indent=2).encode() + b"\n"
    path = data / FILE
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def _words(options: argparse.Namespace, defaults: argparse.Namespace) -> list[str]:
    words: list[str] = []
    for name, value in sorted(vars(options).items()):
        if name in LEFT_OUT or value == getattr(defaults, name, None):
            continue
        flag = "--" + name.replace("_", "-")
        if value is True:  # a switch
            words.append(flag)
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [flag, str(one)]
    return words


def command(data: Path) -> str:
    """Return the command that starts the control plane of a folder as it was started last."""
    try:
        words = json.loads((data / FILE).read_text())["options"]
    except (OSError, ValueError, KeyError, TypeError):
        words = []
    return shlex.join(["landbridge", "up", "--data", str(data), *map(str, words)])
