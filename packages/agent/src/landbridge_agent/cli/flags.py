"""Flags as the original reads them, from one table that parses and that prints the help.

Its habits: ``--name value``, ``--name=value``, ``-n value``, ``-nvalue``; a switch takes
``=false`` only with ``=``; no abbreviations; flags and arguments may be mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from landbridge_agent.codes import AgentError


class Flag(NamedTuple):
    """One flag; ``switch`` ones take no value. Hidden ones are read but not printed."""

    name: str
    short: str
    help: str
    switch: bool = False
    hidden: bool = False


COMMON = (
    Flag("config", "", "Read flags from a JSON or YAML file, its keys are the flags' names"),
    Flag("help", "h", "help for {command}", switch=True),
    Flag("json", "j", "Output in JSON", switch=True),
    Flag("log-stderr", "", "Write errors and verbose output to stderr", switch=True),
    Flag("no-color", "", "Print without colours", switch=True),
    Flag("verbose", "v", "Increase logging verbosity to show all logs", switch=True),
)
"""The flags that every command has."""


class Values:
    """What was given: text by flag name, switches, and the arguments in order."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.switches: dict[str, bool] = {}
        self.arguments: list[str] = []

    def text(self, name: str) -> str:
        """Return a flag's value; empty when it was not given."""
        return self.texts.get(name, "")

    def on(self, name: str) -> bool:
        """Whether a switch was given and not ``=false``."""
        return self.switches.get(name, False)

    def require(self, *names: str) -> None:
        """Check that each flag was given.

        Raises:
            AgentError: AZCM0016, naming every one that is missing.
        """
        missing = [f"--{name}" for name in names if not self.text(name).strip()]
        if missing:
            raise AgentError(16, f"Missing: {', '.join(missing)}.")


def _truth(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word in ("true", "t", "1"):
        return True
    if word in ("false", "f", "0"):
        return False
    raise AgentError(23, f"--{name} is true or false, not '{text}'.")


def _store(values: Values, flag: Flag, text: str) -> None:
    if flag.switch:
        values.switches[flag.name] = _truth(flag.name, text)
    else:
        values.texts[flag.name] = text


def parse(flags: Iterable[Flag], words: Sequence[str]) -> Values:
    """Read a command's words.

    Raises:
        AgentError: AZCM0023, an unknown flag or one without its value.
    """
    by_name = {flag.name: flag for flag in flags}
    by_short = {flag.short: flag for flag in by_name.values() if flag.short}
    values = Values()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            values.arguments += rest
            break
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            flag = by_name.get(name)
        elif word.startswith("-") and len(word) > 1:
            flag, equals, text = by_short.get(word[1]), word[2:3], word[2:].removeprefix("=")
            if flag is not None and flag.switch and equals and equals != "=":
                rest.insert(0, "-" + word[2:])  # -vj is -v -j
                equals = text = ""
        else:
            values.arguments.append(word)
            continue
        if flag is None:
            raise AgentError(23, f"Unknown flag: {word.partition('=')[0]}.")
        if not equals and flag.switch:
            text = "true"
        elif not equals:
            if not rest:
                raise AgentError(23, f"The flag --{flag.name} needs a value.")
            text = rest.pop(0)
        _store(values, flag, text)
    return values


def merge_file(values: Values, flags: Iterable[Flag], content: object) -> None:
    """Add what a ``--config`` file says; the command line wins.

    Raises:
        AgentError: AZCM0019 no object, or AZCM0023 an unknown name or a wrong type.
    """
    if not isinstance(content, dict):
        raise AgentError(19, "The file given to --config must hold one object of flags.")
    by_name = {flag.name: flag for flag in flags}
    for key, value in content.items():
        flag = by_name.get(str(key).removeprefix("--"))
        if flag is None or flag.name == "config":
            raise AgentError(23, f"The file given to --config has the unknown name '{key}'.")
        if flag.name in values.texts or flag.name in values.switches:
            continue
        if isinstance(value, bool) and flag.switch:
            values.switches[flag.name] = value
        elif isinstance(value, str):
            _store(values, flag, value)
        elif isinstance(value, int) and not isinstance(value, bool) and not flag.switch:
            _store(values, flag, str(value))  # YAML reads a name of digits as a number
        elif isinstance(value, dict) and flag.name == "tags":
            values.texts[flag.name] = ",".join(f"{name}='{text}'" for name, text in value.items())
        else:
            raise AgentError(23, f"'{key}' in the file given to --config has the wrong type.")


def table(flags: Iterable[Flag], command: str) -> str:
    """Return the ``Options`` table in the original's layout."""
    shown = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    left = [
        (f"  -{flag.short}, " if flag.short else "      ")
        + f"--{flag.name}"
        + ("" if flag.switch else " string")
        for flag in shown
    ]
    width = max(len(one) for one in left)
    return "\n".join(
        f"{one:<{width}}   {flag.help.format(command=command)}" for one, flag in zip(left, shown, strict=True)
    )
