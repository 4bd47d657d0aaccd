"""Run a program under what a systemd unit allows, without systemd: ``unit_sandbox.py UNIT FOLDER WORDS...``.

Applied from the unit: its system call filter (seccomp, by systemd's own lists), no new privileges,
no memory that is writable and executable, the capabilities, a file system that is read-only but for
FOLDER, and the narrowed /proc. Needs root, x86-64 and a Linux of 6.3 or newer.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_SET_MDWE = 22, 65
FILTERED = "-"
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE, X86_64 = 0x7FFF0000, 0x00050001, 0xC000003E  # refuse: with EPERM, as the unit says


def prctl(option: int, *words: object) -> None:
    if LIBC.prctl(option, *words, *[0] * (4 - len(words))):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def settings(unit: Path, name: str) -> list[str]:
    """Return the values of a directive, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def calls_of(group: str) -> set[str]:
    """Return the system calls of one of systemd's groups."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", group], check=True, capture_output=True, text=True
    ).stdout
    found: set[str] = set()
    for word in re.findall(r"^\s+(@?[a-z][\w-]*)$", listed, re.MULTILINE):
        found |= calls_of(word) if word.startswith("@") else {word}
    return found


def allowed(unit: Path) -> list[int]:
    """Return the numbers of the system calls that the unit allows."""
    names: set[str] = set(calls_of("@default"))
    for value in settings(unit, "SystemCallFilter"):
        for word in value.lstrip("~").split():
            calls = calls_of(word) if word.startswith("@") else {word}
            names = names - calls if value.startswith("~") else names | calls
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text()))
    return sorted(int(numbers[name]) for name in names if name in numbers)


def filter_calls(numbers: list[int]) -> None:
    """Refuse every other system call from now on."""
    program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, X86_64), (RETURN, 0, 0, REFUSE), (LOAD, 0, 0, 0)]
    for number in numbers:
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    program.append((RETURN, 0, 0, REFUSE))
    code = b"".join(struct.pack("HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(described, len(described)))


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def narrow_files(folder: str) -> None:
    """Have all be read-only but the service's folder, and /proc show processes only."""
    if LIBC.unshare(0x00020000):  # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    mount("--bind", folder, folder)
    mount("-t", "proc", "-o", "hidepid=2,subset=pid", "proc", "/proc")
    mount("-o", "remount,bind,ro", "/")


def main() -> None:
    unit, folder, program = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if folder != FILTERED:
        (capability,) = settings(unit, "CapabilityBoundingSet")
        words = capability.lower().removeprefix("cap_")
        narrow_files(folder)
        again = [sys.executable, __file__, str(unit), FILTERED, *program]
        caps = [f"--bounding-set=-all,+{words}", f"--inh-caps=-all,+{words}"]
        os.execvp("setpriv", ["setpriv", "--no-new-privs", *caps, *again])
    numbers = allowed(unit)
    os.umask(int(settings(unit, "UMask")[0], 8))
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        prctl(PR_SET_MDWE, 1)
    filter_calls(numbers)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
