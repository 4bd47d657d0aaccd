"""The tables of the control plane: the one description that the migrations must match.

Times are unix seconds as floats. A ``*_key`` column is the lower-case form of its
neighbour, because ARM compares names without case and gives back the caller's casing.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("display_name", String, nullable=False),
    Column("default_domain", String, nullable=False),
    Column("created_at", Float, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("display_name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Float, nullable=False),
)

# Users, service principals and the managed identities of machines.
principals = Table(
    "principals",
    metadata,
    Column("object_id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("kind", String, nullable=False),  # User | ServicePrincipal | ManagedIdentity
    Column("display_name", String, nullable=False),
    Column("user_name_key", String, unique=True),  # users: lower-case user principal name
    Column("user_name", String),
    Column("app_id", String, unique=True),  # service principals and managed identities
    Column("resource_key", String, unique=True),  # managed identities: key of the resource
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", String, primary_key=True),
    Column("object_id", String, nullable=False, index=True),
    Column("kind", String, nullable=False),  # password | secret | certificate
    Column("verifier", Text, nullable=False),  # argon2id hash | sha-256 hex | PEM
    Column("thumbprint", String, index=True),  # certificates: sha-256 of the DER, base64url
    Column("not_before", Float, nullable=False),
    Column("expires_at", Float),
    Column("created_at", Float, nullable=False),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("family_id", String, nullable=False, index=True),
    Column("parent_hash", String, index=True),  # the token that this one was given for
    Column("object_id", String, nullable=False, index=True),
    Column("client_id", String, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    Column("revoked_at", Float),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("device_code_hash", String, primary_key=True),
    Column("user_code", String, nullable=False, unique=True),
    Column("client_id", String, nullable=False),
    Column("scope", Text, nullable=False),
    Column("tenant", String, nullable=False),
    Column("object_id", String),  # set once a person has signed in
    Column("state", String, nullable=False),  # pending | approved | denied | redeemed
    Column("expires_at", Float, nullable=False),
    Column("last_polled_at", Float),
    Column("interval_seconds", Integer, nullable=False),
)

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("assignment_key", String, primary_key=True),  # lower-case id of the assignment
    Column("name", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("scope_key", String, nullable=False, index=True),
    Column("tenant_id", String, nullable=False),  # of the principal: '/' means this tenant
    Column("role_definition", String, nullable=False),  # GUID
    Column("principal_id", String, nullable=False),
    Column("principal_type", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String, nullable=False),  # object id
    Index("role_assignments_by_principal", "principal_id", "scope_key"),
)

# Every resource of every type, resource groups included.
resources = Table(
    "resources",
    metadata,
    Column("key", String, primary_key=True),  # lower-case id
    Column("resource_id", String, nullable=False),
    Column("subscription_id", String, nullable=False),
    Column("group_key", String, nullable=False),
    Column("type_key", String, nullable=False),
    Column("name_key", String, nullable=False),
    Column("parent_key", String, nullable=False),  # the resource or scope that it lies below
    Column("tracked", Boolean, nullable=False),  # listed by `resources`, has a location
    Column("location", String, nullable=False),
    Column("document", Text, nullable=False),  # JSON: the envelope as last written
    Column("etag", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    # Every list is a walk along one of these, in the order of the last column: a page costs
    # the same wherever it lies.
    Index("resources_by_group", "subscription_id", "group_key", "type_key", "key"),
    Index("resources_by_type", "subscription_id", "type_key", "key"),
    Index("resources_by_name", "subscription_id", "name_key", "key"),
    Index("resources_tracked", "subscription_id", "tracked", "key"),
    Index("resources_by_parent", "parent_key", "type_key", "key"),
)

# The tags of resources and groups again, for the filters that name them.
resource_tags = Table(
    "resource_tags",
    metadata,
    Column("resource_key", String, primary_key=True),
    Column("name_key", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("value", String, nullable=False),
    Index("resource_tags_by_name", "name_key", "value", "resource_key"),
)

provider_registrations = Table(
    "provider_registrations",
    metadata,
    Column("subscription_id", String, primary_key=True),
    Column("namespace_key", String, primary_key=True),
    Column("state", String, nullable=False),  # Registered | Registering | NotRegistered | Unregistering
    Column("changed_at", Float, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("subscription_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("target_id", String, nullable=False),
    Column("principal_id", String, nullable=False),
    Column("status", String, nullable=False, index=True),  # InProgress | Succeeded | Failed | Canceled
    Column("error", Text),  # JSON: the inner error object
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
)

# The agent behind a machine: what is hot or secret-adjacent stays out of the document.
machines = Table(
    "machines",
    metadata,
    Column("machine_key", String, primary_key=True),
    Column("principal_id", String, nullable=False, unique=True),
    Column("vm_id", String, nullable=False),
    Column("enrolled_at", Float),  # empty until the first certificate was issued
    Column("facts", Text, nullable=False),  # JSON: properties reported by the agent
    Column("facts_digest", String, nullable=False),
)

presence = Table(
    "presence",
    metadata,
    Column("machine_key", String, primary_key=True),
    Column("last_seen", Float, nullable=False),
    Column("departed_at", Float),  # when the control channel closed, empty while it is open
    Column("status_changed_at", Float, nullable=False),
    Column("agent_version", String, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String, primary_key=True),
    Column("principal_id", String, nullable=False, index=True),
    Column("thumbprint", String, nullable=False, unique=True),  # sha-256 of the DER, base64url
    Column("pem", Text, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
    Column("revoked_at", Float),
)
