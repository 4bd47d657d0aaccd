"""Who may do what: assignments and custom roles."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("assignment_key", NAME, primary_key=True),  # lower-case id of the assignment
    Column("name", NAME, nullable=False),
    Column("scope", NAME, nullable=False),
    Column("scope_key", NAME, nullable=False, index=True),
    Column("tenant_id", NAME, nullable=False),  # of the principal: '/' means this tenant
    Column("role_definition", NAME, nullable=False),  # GUID
    Column("principal_id", NAME, nullable=False),
    Column("principal_type", NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", NAME, nullable=False),  # object id
    Column("changed_at", Float),  # null: as it was made
    Column("changed_by", NAME),  # object id
    Index("role_assignments_by_principal", "principal_id", "scope_key"),
)

# One row: it grows, by triggers of the embedded store, with every change of assignments and memberships.
changes_of_holdings = Table(
    "changes_of_holdings",
    metadata,
    Column("only", Integer, primary_key=True),
    Column("changes", BigInteger, nullable=False),
)

# The custom roles of each tenant; the built-in ones are code.
role_definitions = Table(
    "role_definitions",
    metadata,
    Column("tenant_id", NAME, primary_key=True),
    Column("guid", NAME, primary_key=True),  # lower case
    Column("name", NAME, nullable=False),
    Column("name_key", NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("permissions", Text, nullable=False),  # JSON
    Column("assignable_scopes", Text, nullable=False),  # JSON
    Column("created_at", Float, nullable=False),
    Column("created_by", NAME, nullable=False),  # object id
    Column("changed_at", Float, nullable=False),
    Column("changed_by", NAME, nullable=False),  # object id
    Index("role_definitions_by_name", "tenant_id", "name_key", unique=True),
)
