"""Tenants, subscriptions, and the principals that sign in to them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

settings = Table(
    "settings",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", Text, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", NAME, primary_key=True),
    Column("display_name", NAME, nullable=False),
    Column("default_domain", NAME, nullable=False),
    Column("created_at", Float, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", NAME, primary_key=True),
    Column("tenant_id", NAME, nullable=False),
    Column("display_name", NAME, nullable=False),
    Column("state", NAME, nullable=False),
    Column("created_at", Float, nullable=False),
)

# Users, service principals and the managed identities of machines.
principals = Table(
    "principals",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("tenant_id", NAME, nullable=False),
    Column("kind", NAME, nullable=False),  # User | ServicePrincipal | ManagedIdentity
    Column("display_name", NAME, nullable=False),
    Column("user_name_key", NAME, unique=True),  # users: lower-case user principal name
    Column("user_name", NAME),
    Column("app_id", NAME, unique=True),  # service principals and managed identities
    Column("resource_key", NAME, unique=True),  # managed identities: key of the resource
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("name_key", NAME, nullable=False, server_default=""),  # lower-case display name
    Column("tokens_from", Float),  # access tokens that began before are refused
    Index("principals_by_name", "tenant_id", "kind", "name_key", "object_id"),
)

# Users who may act in further tenants than their own.
guests = Table(
    "guests",
    metadata,
    Column("object_id", NAME, primary_key=True),
    Column("tenant_id", NAME, primary_key=True),
    Column("created_at", Float, nullable=False),
    Index("guests_by_tenant", "tenant_id", "created_at", "object_id"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", NAME, primary_key=True),
    Column("object_id", NAME, nullable=False, index=True),
    Column("kind", NAME, nullable=False),  # password | secret | certificate | totp | recovery
    Column("verifier", Text, nullable=False),  # argon2id hash | sha-256 hex | PEM | sealed
    Column("thumbprint", NAME, index=True),  # certificates: sha-256 of the DER, base64url
    Column("not_before", Float, nullable=False),
    Column("expires_at", Float),
    Column("created_at", Float, nullable=False),
    Column("display_name", NAME),  # how its owner calls it
    Column("hint", NAME),  # secrets: their first characters
)
