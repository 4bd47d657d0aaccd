"""Running programs: to their end, or in the background until they are told to stop."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

TAIL_LINES = 15
STOP_SECONDS = 10.0

T = TypeVar("T")


class Failed(Exception):
    """A step cannot be done; the text says why, with the end of the log that tells more."""


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, each set off to the right."""
    return "\n".join("    " + line for line in text.rstrip().splitlines()[-lines:])


def run(argv: Sequence[str | Path], environment: Mapping[str, str], seconds: float = 60.0) -> str:
    """Run a program to its end and return what it printed on stdout.

    Raises:
        Failed: it ended with another code than 0, or not within ``seconds``.
    """
    name = Path(argv[0]).name
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(
            f"{name} did not end within {seconds:.0f} seconds: {' '.join(map(str, argv))}"
        ) from error
    except OSError as error:
        raise Failed(f"{argv[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        said = tail(done.stdout + done.stderr) or "    (it printed nothing)"
        raise Failed(f"{name} ended with exit code {done.returncode}:\n{said}")
    return done.stdout


def _ending_with_us(argv: Sequence[str | Path]) -> list[str | Path]:
    """Have Linux end the program when we are killed without a chance to tidy up."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else list(argv)


class Child:
    """A program in the background, in a session of its own: Ctrl-C reaches only us."""

    def __init__(
        self, name: str, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                _ending_with_us(argv),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            Failed: it does not; the text has the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            said = tail(self.said()) or "    (empty)"
            raise Failed(f"{self.name} has ended {how}. The end of {self.log}:\n{said}")

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Children:
    """The programs in the background, stopped in the reverse of the order they came up in."""

    def __init__(self) -> None:
        self._running: list[Child] = []

    def start(
        self, name: str, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> Child:
        """Start a program."""
        child = Child(name, argv, log, environment)
        self._running.append(child)
        return child

    def check(self) -> None:
        """Check that all still run.

        Raises:
            Failed: one does not.
        """
        for child in self._running:
            child.check()

    def stop(self) -> None:
        """Stop them all, and only them."""
        while self._running:
            self._running.pop().stop()


def wait_until(what: str, ready: Callable[[], T | None], children: Children, seconds: float) -> T:
    """Return the first answer of ``ready`` that is not None, while the children live.

    Raises:
        Failed: none came within ``seconds``, or a child ended meanwhile.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer is not None:
            return answer
        children.check()
        if time.monotonic() > deadline:
            raise Failed(f"Waited {seconds:.0f} seconds in vain for {what}.")
        time.sleep(0.1)
