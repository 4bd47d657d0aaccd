"""The agents behind machines: what they reported, when they were seen, their certificates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from landbridge_server.store import machine_news, notices, settings
from landbridge_server.store.prepared import Prepared, PreparedRows
from landbridge_server.store.schema import certificates, machines, presence

PRESENCE_VERSION = "presence_version"


class Machine(NamedTuple):
    """The agent's side of a machine; ``facts`` is the JSON that it reported."""

    machine_key: str
    principal_id: str
    vm_id: str
    enrolled_at: float | None
    facts: str
    facts_digest: str
    fingerprint: str | None = None


class Certificate(NamedTuple):
    """A certificate that was issued to a machine's identity."""

    serial: str
    principal_id: str
    thumbprint: str
    pem: str
    not_before: float
    not_after: float
    revoked_at: float | None


class Seen(NamedTuple):
    """When a machine was last heard from, and which node holds its control channel, if any.

    ``holder`` stays empty where there is only one node.
    """

    machine_key: str
    last_seen: float
    departed_at: float | None
    status_changed_at: float
    agent_version: str
    holder: str | None = None


class News(NamedTuple):
    """Presence that was written since a version, and up to which version that was."""

    version: int
    seen: list[Seen]
    expiries: dict[str, float]


def _machine(row: Sequence[Any] | None) -> Machine | None:
    return Machine._make(row) if row is not None else None


_INSERT = Prepared(machines.insert())


def create(connection: Connection, machine_key: str, principal_id: str, vm_id: str) -> None:
    """Add the row of a machine that has not enrolled yet."""
    _INSERT.run(connection, Machine(machine_key, principal_id, vm_id, None, "{}", "")._asdict())


_GET = Prepared(select(machines).where(machines.c.machine_key == bindparam("machine_key")))


def get(connection: Connection, machine_key: str) -> Machine | None:
    """Return the machine with this key."""
    return _machine(_GET.first(connection, {"machine_key": machine_key}))


def by_principal(connection: Connection, principal_id: str) -> Machine | None:
    """Return the machine whose managed identity this is."""
    return _machine(
        connection.execute(select(machines).where(machines.c.principal_id == principal_id)).first()
    )


def facts_of(connection: Connection, machine_keys: Iterable[str]) -> dict[str, str]:
    """Return what the agents of these machines reported, by machine key, for a page of a list."""
    query = select(machines.c.machine_key, machines.c.facts)
    rows = connection.execute(query.where(machines.c.machine_key.in_(list(machine_keys)))).all()
    return {row[0]: row[1] for row in rows}


_SET_ENROLLED = Prepared(
    update(machines).where(machines.c.machine_key == bindparam("key")).values(enrolled_at=bindparam("now"))
)


def set_enrolled(connection: Connection, machine_key: str, now: float) -> None:
    """Note that the machine holds its first certificate."""
    _SET_ENROLLED.run(connection, {"key": machine_key, "now": now})


_SET_FINGERPRINT = Prepared(
    update(machines).where(machines.c.machine_key == bindparam("key")).values(fingerprint=bindparam("found"))
)


def set_fingerprint(connection: Connection, machine_key: str, fingerprint: str | None) -> None:
    """Remember the computer that a machine's agent runs on; None: whichever comes next."""
    _SET_FINGERPRINT.run(connection, {"key": machine_key, "found": fingerprint})


_SET_FACTS = Prepared(
    update(machines)
    .where(machines.c.machine_key == bindparam("key"))
    .values(facts=bindparam("new_facts"), facts_digest=bindparam("new_digest"))
)


def set_facts(connection: Connection, machine_key: str, facts: str, digest: str) -> None:
    """Replace what the machine reported about itself; ``fleet.facts`` keeps what is shown of it."""
    _SET_FACTS.run(connection, {"key": machine_key, "new_facts": facts, "new_digest": digest})


_REMOVE = (
    Prepared(certificates.delete().where(certificates.c.principal_id == bindparam("principal"))),
    Prepared(presence.delete().where(presence.c.machine_key == bindparam("machine"))),
    Prepared(machines.delete().where(machines.c.machine_key == bindparam("machine"))),
)


def remove(connection: Connection, machine_key: str) -> None:
    """Remove a machine, its presence and its certificates. Its principal is the caller's business."""
    machine = get(connection, machine_key)
    if machine is None:
        return
    for statement in _REMOVE:
        statement.run(connection, {"machine": machine_key, "principal": machine.principal_id})
    machine_news.remove(connection, machine_key)
    notices.post(connection, "removed", machine=machine_key, principal=machine.principal_id)


def remove_certificates(connection: Connection, principal_id: str) -> None:
    """Remove every certificate of an identity: assertions made with their keys are refused from now on."""
    _REMOVE[0].run(connection, {"principal": principal_id})


_ADD_CERTIFICATE = Prepared(certificates.insert())


def add_certificate(connection: Connection, certificate: Certificate) -> None:
    """Record a certificate; from now on an assertion made with its key is believed."""
    _ADD_CERTIFICATE.run(connection, certificate._asdict())


def certificate_by_thumbprint(connection: Connection, thumbprint: str) -> Certificate | None:
    """Return the certificate with this SHA-256 thumbprint (base64url), revoked or not."""
    row = connection.execute(select(certificates).where(certificates.c.thumbprint == thumbprint)).first()
    return Certificate(*row) if row is not None else None


def newest_certificate(connection: Connection, principal_id: str) -> Certificate | None:
    """Return the certificate of an identity that expires last."""
    row = connection.execute(
        select(certificates)
        .where(certificates.c.principal_id == principal_id, certificates.c.revoked_at.is_(None))
        .order_by(certificates.c.not_after.desc())
        .limit(1)
    ).first()
    return Certificate(*row) if row is not None else None


def newest_certificates(connection: Connection, now: float) -> Iterator[str]:
    """Give each machine's newest certificate (PEM) that has neither ended nor been revoked."""
    valid = (certificates.c.revoked_at.is_(None), certificates.c.not_after > now)
    newest = (
        select(certificates.c.principal_id, func.max(certificates.c.not_before).label("begun"))
        .where(*valid)
        .group_by(certificates.c.principal_id)
        .subquery()
    )
    same = (certificates.c.principal_id == newest.c.principal_id) & (
        certificates.c.not_before == newest.c.begun
    )
    query = select(certificates.c.principal_id, certificates.c.pem).join(newest, same).where(*valid)
    last = ""
    for principal_id, pem in connection.execute(query.order_by(certificates.c.principal_id)):
        if principal_id != last:  # two of the same second count once
            last = principal_id
            yield pem


def expiries(connection: Connection, machine_keys: Iterable[str] | None = None) -> dict[str, float]:
    """Return the end of the newest certificate of every machine, or of these, by machine key."""
    query = select(machines.c.machine_key, certificates.c.not_after).join(
        certificates, certificates.c.principal_id == machines.c.principal_id
    )
    if machine_keys is not None:
        query = query.where(machines.c.machine_key.in_(list(machine_keys)))
    newest: dict[str, float] = {}
    for key, not_after in connection.execute(query):
        newest[key] = max(newest.get(key, 0.0), not_after)
    return newest


_CERTIFICATES_OF = Prepared(
    select(certificates.c.serial, certificates.c.not_before, certificates.c.not_after)
    .where(certificates.c.principal_id == bindparam("principal_id"))
    .order_by(certificates.c.not_after.desc())
)


_REMOVE_CERTIFICATE = Prepared(certificates.delete().where(certificates.c.serial == bindparam("serial")))


def prune_certificates(connection: Connection, principal_id: str, now: float, keep: int = 3) -> None:
    """Drop expired certificates of an identity, and all but the newest ``keep``.

    Those from the future count as the oldest: a clock that was ahead must not crowd out what is good now.
    """
    rows = _CERTIFICATES_OF.rows(connection, {"principal_id": principal_id})
    rows.sort(key=lambda row: row[1] > now)
    stale = [serial for index, (serial, _, not_after) in enumerate(rows) if index >= keep or not_after < now]
    for serial in stale:
        _REMOVE_CERTIFICATE.run(connection, {"serial": serial})


_SEEN = select(*(presence.c[name] for name in Seen._fields))


def all_seen(connection: Connection) -> list[Seen]:
    """Return the presence of every machine, for the start of the control plane."""
    return [Seen(*row) for row in connection.execute(_SEEN)]


def next_version(connection: Connection) -> int:
    """Return the next version of presence; writers take turns, so versions commit in order."""
    version = int(settings.get(connection, PRESENCE_VERSION) or 0) + 1
    settings.put(connection, PRESENCE_VERSION, str(version))
    return version


def news(connection: Connection, version: int) -> News:
    """Return what was written after ``version``; 0 returns everything."""
    latest = int(settings.get(connection, PRESENCE_VERSION) or 0)
    if latest == version:
        return News(version, [], {})
    seen = [Seen(*row) for row in connection.execute(_SEEN.where(presence.c.version > version))]
    few = [one.machine_key for one in seen] if version else None
    return News(latest, seen, expiries(connection, few))


def forget_holders(connection: Connection) -> None:
    """Note that no node holds any channel: these nodes are not there any more."""
    connection.execute(update(presence).values(holder=None))


def by_principals(connection: Connection) -> dict[str, str]:
    """Return the keys of all machines by the object id of their managed identity."""
    return {
        row[0]: row[1] for row in connection.execute(select(machines.c.principal_id, machines.c.machine_key))
    }


_ADD_SEEN = PreparedRows(presence)


def save_seen(connection: Connection, batch: Iterable[Seen]) -> None:
    """Write a batch of presence rows; rows of machines that are gone are dropped."""
    rows = {seen.machine_key: seen for seen in batch}
    known = connection.execute(select(machines.c.machine_key).where(machines.c.machine_key.in_(list(rows))))
    alive = [rows[key] for (key,) in known]
    if not alive:
        return
    connection.execute(
        presence.delete().where(presence.c.machine_key.in_([seen.machine_key for seen in alive]))
    )
    version = next_version(connection)
    _ADD_SEEN.run(connection, [seen._asdict() | {"version": version} for seen in alive])
    notices.post(connection, "presence")
