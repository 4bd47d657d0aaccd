"""Evaluate the resources of a configuration one after another: test, and set where that is wanted.

Audit changes nothing. ApplyAndMonitor sets a resource until it was once as wanted, then only looks.
ApplyAndAutoCorrect sets it each time; that it had to is part of what is reported, though the
resource is Compliant again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from landbridge_agent.guest.configuration import Declared
from landbridge_agent.guest.drift import History
from landbridge_agent.guest.files import FileRefused
from landbridge_agent.guest.resources import KNOWN
from landbridge_agent.guest.resources.resource import (
    BadProperty,
    CannotApply,
    Found,
    Reason,
    Resource,
    read,
)
from landbridge_agent.guest.system import NoProgram, System

COMPLIANT, NON_COMPLIANT = "Compliant", "NonCompliant"
SUCCESS = Reason("DSC::RESOURCE::SUCCESS", "Operation successful.")
AUDIT, MONITOR, CORRECT = "Audit", "ApplyAndMonitor", "ApplyAndAutoCorrect"
_MODES = {
    "audit": AUDIT,
    "applyandmonitor": MONITOR,
    "applyandautocorrect": CORRECT,
    "deployandautocorrect": CORRECT,
}
REFUSALS = (BadProperty, CannotApply, FileRefused, NoProgram)


class Seen(NamedTuple):
    """What is reported of one resource."""

    id: str
    reasons: list[Reason]
    properties: dict[str, Any]
    ok: bool


def mode_of(assignment_type: str) -> str:
    """Return what an assignmentType means; one that is not known, or not given, changes nothing."""
    return _MODES.get(assignment_type.lower(), AUDIT)


class Evaluation:
    """One evaluation of one configuration."""

    def __init__(self, system: System, mode: str, history: History, clock: Callable[[], float]) -> None:
        self._system, self._mode, self._history, self._clock = system, mode, history, clock
        self._failed: set[str] = set()

    def run(self, declared: Sequence[Declared]) -> list[Seen]:
        """Evaluate all of them; what one cannot do is its own reason, and the others go on."""
        self._history.forget_others([one.id for one in declared])
        return [self._one(one) for one in declared]

    def _one(self, one: Declared) -> Seen:
        resource: Resource | None = None
        try:
            resource = self._made(one)
            found = resource.test()
            seen = self._settle(one, resource, found) if found.reasons else self._fine(one, found)
        except REFUSALS as error:
            seen = self._refused(one, _code(error), str(error))
        except OSError as error:  # such as a full disk
            seen = self._refused(one, "CannotApply", f"{error.strerror or error}.")
        except (ValueError, RecursionError, MemoryError) as error:
            seen = self._refused(one, "Failed", f"It cannot be evaluated: {type(error).__name__}: {error}.")
        if not seen.ok:
            self._failed.add(one.id.lower())
        return seen

    def _made(self, one: Declared) -> Resource:
        kind = KNOWN.get(one.type.lower())
        if kind is None:
            known = ", ".join(each.type for each in KNOWN.values())
            raise BadProperty(f"There is no resource {one.type} in this agent; it has {known}.")
        return kind(read(kind, one.values), self._system)

    def _fine(self, one: Declared, found: Found, *, by_us: bool = False) -> Seen:
        self._history.as_wanted(one.id, self._clock(), by_us=by_us)
        reasons, corrected = [SUCCESS], self._history.corrected(one.id)
        if corrected is not None:
            when, why, count = corrected
            times = "once" if count == 1 else f"{count} times"
            reasons.append(
                Reason(
                    "Landbridge:Drift:Corrected",
                    f"It had drifted and was corrected at {when} ({times} so far): {why}",
                )
            )
        return Seen(one.id, reasons, self._properties(one, found), True)

    def _properties(self, one: Declared, found: Found) -> dict[str, Any]:
        return {**found.state, **self._history.shown(one.id)}

    def _settle(self, one: Declared, resource: Resource, found: Found) -> Seen:
        """Deal with a resource that is not as wanted."""
        was_applied = self._history.was_applied(one.id)
        if was_applied:
            phrases = [reason.phrase for reason in found.reasons]
            self._history.drifted(one.id, self._clock(), found.state, phrases)
        if self._mode == AUDIT or (self._mode == MONITOR and was_applied):
            return Seen(one.id, found.reasons, self._properties(one, found), False)
        missing = [need for need in one.needs if need.lower() in self._failed]
        if missing:
            reason = resource.reason(
                "DependsOn", f"It was not set: it depends on {missing[0]}, which failed."
            )
            return Seen(one.id, [*found.reasons, reason], self._properties(one, found), False)
        try:
            resource.set()
        except REFUSALS as error:
            reasons = [*found.reasons, resource.reason(_code(error), str(error))]
            return Seen(one.id, reasons, self._properties(one, found), False)
        again = resource.test()
        if not again.reasons:
            return self._fine(one, again, by_us=True)
        reason = resource.reason("StillDifferent", "It was set, and is not as wanted nevertheless.")
        return Seen(one.id, [*again.reasons, reason], self._properties(one, again), False)

    def _refused(self, one: Declared, code: str, phrase: str) -> Seen:
        reason = Reason(f"{one.type}:{one.type}:{code}", phrase)
        return Seen(one.id, [reason], self._history.shown(one.id), False)


def _code(error: Exception) -> str:
    return "InvalidProperty" if isinstance(error, BadProperty) else "CannotApply"
