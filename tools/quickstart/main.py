"""The command line of ``./quickstart``: in the foreground until Ctrl-C, or ``--check``."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from quickstart.closing import closing
from quickstart.journey import Journey
from quickstart.places import Places
from quickstart.ports import PREFERRED_PORT
from quickstart.programs import Children, Failed
from quickstart.steps import StepFailed, report, step

INTERRUPTED = 130

EXAMPLES = """examples:
  ./quickstart              start, or go on where the last run stopped; Ctrl-C ends it
  ./quickstart --port 8443  the first run's port (default: 9443, or a free one)
  ./quickstart --data ~/lb  keep everything in another folder than .landbridge
  ./quickstart --check      all of it in a temporary folder, torn down again; exit code 0 if it worked
  rm -r .landbridge         forget the cloud and begin anew
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="./quickstart",
        description="Start a Landbridge control plane of your own under .landbridge/, connect this machine\n"
        "to it with the real agent, and log in over the relay, although no port is open for it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--check",
        action="store_true",
        help="do it all in a temporary folder, tear it down, say whether it worked",
    )
    top.add_argument(
        "--port", type=int, default=PREFERRED_PORT, help=f"where to listen first (default: {PREFERRED_PORT})"
    )
    top.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where everything is kept (default: .landbridge in the clone)",
    )
    top.add_argument("--began", type=float, help=argparse.SUPPRESS)
    return top


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold further Ctrl-C back while things are put away."""
    held = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def _complain(failure: StepFailed) -> None:
    print(f"\nThe step '{failure.step}' failed: {failure}", file=sys.stderr, flush=True)


def check(clone: Path) -> int:
    """Take the whole journey in a temporary folder and leave nothing behind."""
    children = Children()
    code = 0
    root = Path(tempfile.mkdtemp(prefix="landbridge-check-"))
    try:
        Journey(Places(clone, root), os.environ, children, preferred_port=0).travel()
    except StepFailed as failure:
        _complain(failure)
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    with _undisturbed():
        try:
            with step("tear everything down"):
                children.stop()
                shutil.rmtree(root)
        except StepFailed as failure:
            _complain(failure)
            code = code or 1
    return code


def _lock(root: Path) -> None:
    """Keep other quickstarts of this clone out until this process ends.

    Raises:
        Failed: one runs already.
    """
    descriptor = os.open(root / "quickstart.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 20).decode() or "unknown"
        raise Failed(f"A quickstart runs here already (process {holder}).") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


def run_in_foreground(clone: Path, data: Path, port: int) -> int:
    """Start or resume, then stay until Ctrl-C or until a program ends by itself."""
    places = Places(clone, data)
    children = Children()
    try:
        places.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _lock(places.root)
        journey = Journey(places, os.environ, children, port)
        admin = journey.travel()
        print(closing(places, admin, journey.machine.name), flush=True)
        while True:
            children.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        print("\nEnding.", flush=True)
        return 0
    except StepFailed as failure:
        _complain(failure)
        return 1
    except (Failed, OSError) as failure:  # OSError: a folder that cannot be written
        print(f"\n{failure}", file=sys.stderr, flush=True)
        return 1
    finally:
        with _undisturbed():
            children.stop()


def main() -> int:
    """Run the command line of this process and return its exit code."""
    options = parser().parse_args()
    if not 1 <= options.port <= 65535:
        parser().error(f"--port {options.port} is not a port: 1 to 65535")
    signal.signal(signal.SIGTERM, _interrupt)
    clone = Path(__file__).resolve().parent.parent.parent
    if options.began is not None:
        report("ok", max(0.0, time.time() - options.began), "set up .venv")
    if options.check:
        return check(clone)
    data = (options.data or clone / ".landbridge").absolute()
    return run_in_foreground(clone, data, options.port)
