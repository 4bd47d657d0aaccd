"""Find the command, read its flags, run it, and turn every failure into a code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TextIO

from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import merge_file, parse
from landbridge_agent.cli.output import Output
from landbridge_agent.cli.verbs import VERBS
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import MAX_FILE, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.platform import NotSupported, here
from landbridge_agent.version import AGENT_VERSION

ONLY_ON_LINUX = ("extension", "upgrade")
JSON_WORDS = ("-j", "--json", "--json=true")


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    clock: Callable[[], float],
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Run one command line; never raises, and returns the exit code."""
    out = Output(stdout, stderr, clock)
    out.json = any(word in JSON_WORDS for word in words)
    try:
        return _run(words, environment, clock, out)
    except BrokenPipeError:
        return 1
    except AgentError as error:
        error.remedy = error.remedy.replace("COMMAND", words[0] if words else "COMMAND")
        out.fail(error)
        return error.exit_code
    except NotSupported as error:
        failure = AgentError(3, str(error))
        out.fail(failure)
        return failure.exit_code
    except StateError as error:
        if isinstance(error.__cause__, PermissionError):
            failure = AgentError(18, str(error))
        else:
            failure = AgentError(2, str(error), "Check the owner, the rights and the content of that file.")
        out.fail(failure)
        return failure.exit_code
    except Exception as error:  # a defect of ours still ends as a code, not as a traceback
        if out.verbose:
            raise
        bug = AgentError(1, f"{type(error).__name__}: {error}")
        out.fail(bug)
        return bug.exit_code
    except KeyboardInterrupt:
        cancelled = AgentError(11, "The command was interrupted.")
        out.fail(cancelled)
        return cancelled.exit_code


def _run(
    words: Sequence[str], environment: Mapping[str, str], clock: Callable[[], float], out: Output
) -> int:
    name = _verb(words)
    if name in ONLY_ON_LINUX and here().name != "linux":
        raise AgentError(3, f"'azcmagent {name}' needs Linux: this agent has no part for it on this system.")
    command = load(name)
    values = parse(command.all_flags, words[1:] if words and not words[0].startswith("-") else [])
    if values.on("help") or not words:
        out.print(command.help())
        return 0
    file = values.text("config")
    if file:
        merge_file(values, command.all_flags, config_file(file))
    out.json, out.verbose = values.on("json"), values.on("verbose")
    out.log_stderr = values.on("log-stderr")
    paths = here().paths(environment)
    call = Call(values, paths, environment, clock, out)
    if command.needs_root:
        require_root(paths)
        record(command.name, call)
    code = command.run(call)
    out.record("info", f"azcmagent {command.name} ended with exit code {code}")
    return code


def record(what: str, call: Call) -> None:
    """Have what happens from now on go into ``azcmagent.log`` too; ``what`` is the command that is run.

    Of the flags only the names are written: values may be secret.
    """
    from landbridge_agent.log_file import LogFile

    values, out = call.values, call.out
    out.record = LogFile(call.paths.command_log, call.clock).write
    given = sorted({*values.texts, *(name for name, on in values.switches.items() if on)})
    flags = ", ".join(f"--{name}" for name in given) or "no flags"
    out.record("info", f"azcmagent {what} {AGENT_VERSION} by user {here().user()}, with {flags}")


def _verb(words: Sequence[str]) -> str:
    """Return the command's name; flags alone, or nothing, mean ``help``."""
    if not words or words[0].startswith("-"):
        known = {"-h", "--help", "-v", "--verbose", "-j", "--json", "--no-color", "--log-stderr"}
        for word in words:
            if word not in known:
                raise AgentError(23, f"Unknown flag: {word}.", "See azcmagent help.")
        return "help"
    name = words[0].lower()
    if name not in VERBS:
        raise AgentError(23, f"Unknown command '{words[0]}'.", "See azcmagent help.")
    return name


def load(name: str) -> Command:
    """Load a command's module and return its ``COMMAND``."""
    command = import_module(f"landbridge_agent.cli.{VERBS[name].module}").COMMAND
    if not isinstance(command, Command):
        raise TypeError(f"{name} has no COMMAND.")
    return command


def require_root(paths: Paths) -> None:
    """Check that this user may change the state.

    Raises:
        AgentError: AZCM0018; never when the state folder was moved.
    """
    if not paths.relocated and not here().is_administrator():
        raise AgentError(
            18,
            "You must be root to change this machine's agent.",
            "Run the command with sudo, or set LANDBRIDGE_AGENT_ROOT to run an agent of your own.",
        )


def config_file(name: str) -> object:
    """Return the content of a ``--config`` file; YAML by its suffix, else JSON.

    Raises:
        AgentError: AZCM0019, it cannot be read.
    """
    path = Path(name)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE)
    except OSError as error:
        raise AgentError(19, f"{name} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        return _yaml(name, content)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AgentError(19, f"{name} is not JSON: {error}.") from error


def _yaml(name: str, content: bytes) -> object:
    import yaml  # for this one file only

    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = " ".join(str(error).split())
        raise AgentError(19, f"{name} is not YAML: {where}.") from error
