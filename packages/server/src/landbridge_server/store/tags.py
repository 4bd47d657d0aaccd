"""Tags: those of a subscription itself, those that are predefined, and how often each is used.

What resources and groups carry is written by ``store.resources``, together with them. A
subscription's own tags are rows of the same table under its id. Names compare without case,
values with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from landbridge_server.store.schema import resource_tags, tag_names, tag_values


class Count(NamedTuple):
    """How many resources and groups carry a name with a value."""

    name_key: str
    name: str
    value: str
    carriers: int


def own(connection: Connection, resource_key: str) -> dict[str, str]:
    """Return the tags in the rows of a lower-case id."""
    rows = connection.execute(
        select(resource_tags.c.name, resource_tags.c.value)
        .where(resource_tags.c.resource_key == resource_key)
        .order_by(resource_tags.c.name_key)
    )
    return {row[0]: row[1] for row in rows}


def set_own(connection: Connection, resource_key: str, tags: Mapping[str, str]) -> None:
    """Replace the tags in the rows of a lower-case id."""
    connection.execute(resource_tags.delete().where(resource_tags.c.resource_key == resource_key))
    if tags:
        connection.execute(
            resource_tags.insert(),
            [
                {"resource_key": resource_key, "name_key": name.lower(), "name": name, "value": value}
                for name, value in tags.items()
            ],
        )


def _used(subscription_id: str) -> ColumnElement[bool]:
    scope = f"/subscriptions/{subscription_id}"
    return and_(resource_tags.c.resource_key > scope + "/", resource_tags.c.resource_key < scope + "0")


def used(connection: Connection, subscription_id: str, name: str = "") -> list[Count]:
    """Return what the resources and groups of a subscription carry; optionally of one name only.

    Walks along all their tags: run it beside the event loop.
    """
    query = select(
        resource_tags.c.name_key, func.min(resource_tags.c.name), resource_tags.c.value, func.count()
    ).where(_used(subscription_id))
    if name:
        query = query.where(resource_tags.c.name_key == name.lower())
    query = query.group_by(resource_tags.c.name_key, resource_tags.c.value)
    return [Count(*row) for row in connection.execute(query)]


def predefined(connection: Connection, subscription_id: str) -> dict[str, tuple[str, list[str]]]:
    """Return name and values that are predefined, by lower-case name."""
    names = select(tag_names.c.name_key, tag_names.c.name).where(
        tag_names.c.subscription_id == subscription_id
    )
    found: dict[str, tuple[str, list[str]]] = {row[0]: (row[1], []) for row in connection.execute(names)}
    values = select(tag_values.c.name_key, tag_values.c.value).where(
        tag_values.c.subscription_id == subscription_id
    )
    for name_key, value in connection.execute(values):
        found[name_key][1].append(value)
    return found


def add_name(connection: Connection, subscription_id: str, name: str) -> bool:
    """Predefine a name; say whether that is new."""
    place = {"subscription_id": subscription_id, "name_key": name.lower()}
    known = connection.execute(
        select(tag_names.c.name).filter_by(**place)  # the casing of the first stays
    ).first()
    if known is None:
        connection.execute(tag_names.insert(), place | {"name": name})
    return known is None


def add_value(connection: Connection, subscription_id: str, name: str, value: str) -> bool:
    """Predefine a value of a name; say whether that is new."""
    row = {"subscription_id": subscription_id, "name_key": name.lower(), "value": value}
    known = connection.execute(select(tag_values.c.value).filter_by(**row)).first()
    if known is None:
        connection.execute(tag_values.insert(), row)
    return known is None


def remove_name(connection: Connection, subscription_id: str, name: str) -> bool:
    """Forget a predefined name; say whether it was there."""
    query = tag_names.delete().where(
        tag_names.c.subscription_id == subscription_id, tag_names.c.name_key == name.lower()
    )
    return connection.execute(query).rowcount > 0


def remove_value(connection: Connection, subscription_id: str, name: str, value: str) -> bool:
    """Forget a predefined value; say whether it was there."""
    query = tag_values.delete().where(
        tag_values.c.subscription_id == subscription_id,
        tag_values.c.name_key == name.lower(),
        tag_values.c.value == value,
    )
    return connection.execute(query).rowcount > 0
