"""The names of hybrid connections: one per machine, after its managed identity."""

from __future__ import annotations

MACHINES = "microsoft.hybridcompute/machines"


def hybrid_connection_path(principal_id: str) -> str:
    """Return the path of a machine's hybrid connection; ``principal_id`` is its object id."""
    return f"{MACHINES}/{principal_id}".lower()


def split_entity(path: str) -> tuple[str, str]:
    """Split a request's path into the entity (lower case) and the sender's own suffix.

    Slashes at either end do not count. A path that cannot be a machine's is returned whole,
    with an empty suffix: the directory will not know it.
    """
    parts = path.strip("/").split("/")
    entity = "/".join(parts[:3]).lower()
    if len(parts) < 3 or not entity.startswith(MACHINES + "/"):
        return "/".join(parts).lower(), ""
    return entity, "/".join(parts[3:])


def principal_of(entity: str) -> str | None:
    """Return the object id in an entity's path; None if it is not a machine's."""
    kind, _, principal = entity.rpartition("/")
    return principal if kind == MACHINES and principal else None
