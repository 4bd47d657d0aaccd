"""Resources, and what the resource manager keeps beside them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, LargeBinary, Table, Text, text

from landbridge_server.store.schema.columns import NAME, metadata

# Of those resources only that have a location: the words of the conditions that lists have.
TRACKED: dict[str, Any] = {"sqlite_where": text("tracked IS 1"), "postgresql_where": text("tracked IS true")}

# Every resource of every type, resource groups included.
resources = Table(
    "resources",
    metadata,
    Column("key", NAME, primary_key=True),  # lower-case id
    Column("resource_id", NAME, nullable=False),
    Column("subscription_id", NAME, nullable=False),
    Column("group_key", NAME, nullable=False),
    Column("type_key", NAME, nullable=False),
    Column("name_key", NAME, nullable=False),
    Column("parent_key", NAME, nullable=False),  # the resource or scope that it lies below
    Column("tracked", Boolean, nullable=False),  # listed by `resources`, has a location
    Column("location", NAME, nullable=False),
    Column("document", Text, nullable=False),  # JSON: the envelope as last written
    Column("etag", NAME, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("shown", LargeBinary),  # JSON that readers see, where that is more than the document
    Column("shown_etag", NAME),  # of the document that it was made from; another one: it is too old
    # Every list is a walk along one of these, in the order of the last column: a page costs
    # the same wherever it lies.
    Index("resources_by_group", "subscription_id", "group_key", "type_key", "key"),
    Index("resources_by_type", "subscription_id", "type_key", "key"),
    Index("resources_by_name", "subscription_id", "name_key", "key", **TRACKED),
    # With all that a filter can name: what does not match is passed over without its row.
    Index("resources_tracked", "subscription_id", "key", "type_key", "name_key", "location", **TRACKED),
    Index("resources_by_parent", "parent_key", "type_key", "key"),
)

# The tags of resources and groups again, for the filters that name them.
resource_tags = Table(
    "resource_tags",
    metadata,
    Column("resource_key", NAME, primary_key=True),
    Column("name_key", NAME, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("value", NAME, nullable=False),
    Index("resource_tags_by_name", "name_key", "value", "resource_key"),
    Index("resource_tags_by_name_alone", "name_key", "resource_key"),
)

provider_registrations = Table(
    "provider_registrations",
    metadata,
    Column("subscription_id", NAME, primary_key=True),
    Column("namespace_key", NAME, primary_key=True),
    Column("state", NAME, nullable=False),  # Registered | Registering | NotRegistered | Unregistering
    Column("changed_at", Float, nullable=False),
)

# Tag names and values that a subscription keeps whether or not anything carries them.
tag_names = Table(
    "tag_names",
    metadata,
    Column("subscription_id", NAME, primary_key=True),
    Column("name_key", NAME, primary_key=True),
    Column("name", NAME, nullable=False),
)

tag_values = Table(
    "tag_values",
    metadata,
    Column("subscription_id", NAME, primary_key=True),
    Column("name_key", NAME, primary_key=True),
    Column("value", NAME, primary_key=True),
)

feature_registrations = Table(
    "feature_registrations",
    metadata,
    Column("subscription_id", NAME, primary_key=True),
    Column("feature_key", NAME, primary_key=True),  # namespace/name in lower case
    Column("state", NAME, nullable=False),  # as in provider_registrations
    Column("changed_at", Float, nullable=False),
    Column("document", Text, nullable=False),  # JSON: what the writer gave, and who it was
)

# What is written and never read back by callers: sealed by a key that is not in the database.
protected = Table(
    "protected",
    metadata,
    Column("resource_key", NAME, primary_key=True),
    Column("sealed", Text, nullable=False),
)
