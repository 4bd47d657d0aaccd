"""The messages about what a machine does for the cloud: its work, its output, its assignments.

They belong to the agent API (``agent_api.py``) and carry the machine's token. The control plane
says ``workWanted`` in a ``HeartbeatReply``, also unasked, when there is something new; the agent
then fetches. It fetches too whenever it connects, and every ``PULL_SECONDS``.

An item of work is fetched again and again, the same, until its end was reported. Reports and
output may be sent twice: the second time changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from landbridge_wire.agent_api import BASE, MalformedMessage, _Message, _number, _text, _word

WORK = BASE + "/work"
"""POST ``WorkRequest`` -> 200 ``Work``: what this machine has to do, the oldest first."""

WORK_REPORT = WORK + "/{id}/report"
"""POST ``WorkReport`` -> 204. 404: the item has ended, or the machine has no such item."""

WORK_OUTPUT = WORK + "/{id}/output/{stream}"
"""POST bytes with ``?offset=N`` -> 200 ``Stored``; ``stream`` is ``stdout`` or ``stderr``.

Only of run commands, and before the item's end is reported: afterwards it is 404."""

EXTENSION_PACKAGE = BASE + "/extensions/{publisher}/{type}/{version}"
"""GET -> 200 ``ExtensionPackage``: the newest whose version begins with the one to four numbers of
``{version}`` (2.1.13 is a 2.1 and a 2), or the newest of all for ``LATEST``. 404: there is none."""

LATEST = "latest"
"""The ``{version}`` of whoever wants the newest."""

EXTENSION_CONTENT = EXTENSION_PACKAGE + "/content"
"""GET -> 200 the zip itself, with ``Range`` and ``If-Range`` (RFC 9110); ``{version}`` as above, but
whoever goes on with a download names the exact one. The strong ``ETag`` is the digest in quotes."""

ASSIGNMENTS = BASE + "/guestConfiguration"
"""GET ``?fingerprint=`` (as in ``WorkRequest``) -> 200 ``Assignments``."""

ASSIGNMENT_REPORT = ASSIGNMENTS + "/{name}/reports/{id}"
"""PUT a report as ``guest_configuration/reports.py`` has it -> 204; ``{id}`` is a GUID of the agent's."""

PULL_SECONDS = 300
"""How often the agent asks although nobody told it to; the contract's five minutes."""

OUTPUT_CHUNK = 256 * 1024
"""The most bytes of output in one request."""

OUTPUT_LIMIT = 16 * 1024 * 1024
"""The most bytes of one stream that are kept; what follows is counted and thrown away.

Once they are held any later offset is taken: an empty body at the end of what was printed tells
how much that was, without sending it."""

APPLY, REMOVE, CANCEL, UPGRADE = "apply", "remove", "cancel", "upgradeExtensions"
"""Kinds of items: make the machine have what the resource says; make it have nothing of it any
more; end the run of a run command (``content.run`` is the id of its item); upgrade extensions
(``content.extensionTargets``)."""

RUN_COMMAND = "microsoft.hybridcompute/machines/runcommands"
EXTENSION = "microsoft.hybridcompute/machines/extensions"
MACHINE = "microsoft.hybridcompute/machines"


def _object(body: object, name: str) -> dict[str, Any]:
    value = body.get(name, {}) if isinstance(body, dict) else None
    if not isinstance(value, dict):
        raise MalformedMessage(f"'{name}' must be an object.")
    return value


def _objects(body: object, name: str) -> list[Any]:
    value = body.get(name, []) if isinstance(body, dict) else None
    if not isinstance(value, list):
        raise MalformedMessage(f"'{name}' must be an array.")
    return value


@dataclass(frozen=True)
class WorkRequest(_Message):
    """Ask for work.

    A ``fingerprint`` (``agent_api.SessionRequest``) of another computer than the machine's gets 409
    ``MachineCloned``; with an empty one nothing is compared.
    """

    fingerprint: str = ""

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_word(body, "fingerprint", ""))


@dataclass(frozen=True)
class WorkItem(_Message):
    """One thing to do; ``id`` is the operation's.

    ``type`` is the lower-case type of the resource ``target``. ``properties`` is what the resource
    says at the moment of the fetch (empty for REMOVE and CANCEL), ``protected`` what only the
    machine may read, ``content`` what the request said and the resource does not. The order of
    ``sequence`` is the order in which a machine was asked; CANCEL, and REMOVE of a run command, overtake
    what they end. REMOVE of an extension waits: an installer that is killed midway may break packages.
    """

    id: str
    kind: str
    target: str
    type: str
    sequence: int
    properties: dict[str, Any] = field(default_factory=dict)
    protected: dict[str, Any] = field(default_factory=dict, repr=False)
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of ``target``: the name of the resource."""
        return self.target.rsplit("/", 1)[-1]

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(
            _word(body, "id"),
            _word(body, "kind"),
            _text(body, "target"),
            _text(body, "type"),
            _number(body, "sequence"),
            _object(body, "properties"),
            _object(body, "protected"),
            _object(body, "content"),
        )


@dataclass(frozen=True)
class Work(_Message):
    """What a machine has to do. ``roots`` are as in ``agent_api.Session``."""

    items: tuple[WorkItem, ...]
    roots: str = ""

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        items = tuple(WorkItem.from_json(one) for one in _objects(body, "items"))
        return cls(items, _text(body, "roots", ""))


@dataclass(frozen=True)
class WorkReport(_Message):
    """What became of an item. ``properties`` are observed ones only, such as ``instanceView``.

    ``ended``: there is nothing more to do. ``errorCode`` and ``errorMessage`` say that it failed,
    and why; only then the resource's ``provisioningState`` becomes Failed. A script that ran and
    failed is no failure of the item.

    A run command with ``asyncExecution`` has succeeded for its caller with the first report whose
    ``instanceView.executionState`` is neither Pending nor Unknown. Its item stays all the same, for
    reports and output, until ``ended`` is reported.
    """

    properties: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    errorCode: str = ""
    errorMessage: str = ""

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        ended = body.get("ended", False) if isinstance(body, dict) else None
        if not isinstance(ended, bool):
            raise MalformedMessage("'ended' must be true or false.")
        return cls(
            _object(body, "properties"), ended, _word(body, "errorCode", ""), _text(body, "errorMessage", "")
        )


@dataclass(frozen=True)
class Stored(_Message):
    """How many bytes of a stream the control plane holds: the next ``offset``.

    Output that begins before that is a repetition, and its known part is dropped; output that
    begins behind it is refused with 409 and this message's ``offset`` in the text.
    """

    offset: int

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(_number(body, "offset"))


@dataclass(frozen=True)
class ExtensionPackage(_Message):
    """A package of an extension. ``digest`` is the SHA-256 (hex) of the zip.

    ``signature`` is a JWS (RFC 7515, compact, ES256, header ``x5c``) with the claims ``publisher``,
    ``type``, ``version``, ``digest`` and ``size``, by a certificate for code signing
    (RFC 5280, 4.2.1.12) that ends at the cloud's root.
    """

    publisher: str
    type: str
    version: str
    digest: str
    size: int
    signature: str

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        return cls(
            _word(body, "publisher"),
            _word(body, "type"),
            _word(body, "version"),
            _word(body, "digest"),
            _number(body, "size"),
            _text(body, "signature"),
        )


@dataclass(frozen=True)
class Assignment(_Message):
    """A guest configuration assignment: ``guestConfiguration`` as its resource has it.

    ``protected`` are its protected parameters, ``[{"name", "value"}]``. ``tag`` changes whenever
    anything of it does. ``id`` is the id of the resource, which reports need.
    """

    id: str
    name: str
    tag: str
    guestConfiguration: dict[str, Any]
    protected: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        protected = _objects(body, "protected")
        if not all(isinstance(one, dict) for one in protected):
            raise MalformedMessage("'protected' must be an array of objects.")
        return cls(
            _text(body, "id"),
            _word(body, "name"),
            _word(body, "tag"),
            _object(body, "guestConfiguration"),
            tuple(protected),
        )


@dataclass(frozen=True)
class Assignments(_Message):
    """All assignments of a machine, and its tags: two of them restrict what it accepts."""

    assignments: tuple[Assignment, ...]
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the message."""
        found = tuple(Assignment.from_json(one) for one in _objects(body, "assignments"))
        tags = _object(body, "tags")
        return cls(found, {name: _text(tags, name) for name in tags})
