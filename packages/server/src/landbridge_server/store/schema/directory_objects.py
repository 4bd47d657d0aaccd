"""Groups, applications and what binds the objects of the directory to each other.

What the directory's own API shows of an object beyond these columns is kept as JSON.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

# Members of users and service principals that have no column; no row: none were given.
principal_details = Table(
    "principal_details",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("document", Text, nullable=False),  # JSON
)

groups = Table(
    "groups",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("tenant_id", NAME, nullable=False),
    Column("display_name", NAME, nullable=False),
    Column("name_key", NAME, nullable=False),
    Column("nickname_key", NAME, nullable=False),  # lower-case mail nickname
    Column("document", Text, nullable=False),  # JSON: all members that have no column
    Column("created_at", Float, nullable=False),
    Index("groups_by_name", "tenant_id", "name_key", "object_id"),
)

# A member is a user, a service principal, a managed identity or another group; cycles may occur.
group_members = Table(
    "group_members",
    metadata,
    Column("group_id", NAME, primary_key=True),
    Column("member_id", NAME, primary_key=True),
    Index("group_members_by_member", "member_id", "group_id"),
)

# What a service principal is an instance of. Its credentials count as the service principal's.
applications = Table(
    "applications",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("tenant_id", NAME, nullable=False),
    Column("app_id", NAME, nullable=False, unique=True),
    Column("display_name", NAME, nullable=False),
    Column("name_key", NAME, nullable=False),
    Column("document", Text, nullable=False),  # JSON: all members that have no column
    Column("created_at", Float, nullable=False),
    Index("applications_by_name", "tenant_id", "name_key", "object_id"),
)

identifier_uris = Table(
    "identifier_uris",
    metadata,
    Column("tenant_id", NAME, primary_key=True),
    Column("uri", NAME, primary_key=True),
    Column("app_id", NAME, nullable=False, index=True),
)

# Who may change an application, a service principal or a group without a directory role.
owners = Table(
    "owners",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("owner_id", NAME, primary_key=True),
    Index("owners_by_owner", "owner_id", "object_id"),
)

directory_role_assignments = Table(
    "directory_role_assignments",
    metadata,
    Column("principal_id", NAME, primary_key=True),
    Column("role", NAME, primary_key=True),  # GUID of the role's template
    Column("tenant_id", NAME, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", NAME, nullable=False),  # object id; empty: the operator of the cloud
    Index("directory_role_assignments_by_role", "tenant_id", "role"),
)
