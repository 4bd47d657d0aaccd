"""The tables of the control plane: the one description that the migrations must match.

Times are unix seconds as floats. A ``*_key`` column is the lower-case form of its
neighbour, because ARM compares names without case and gives back the caller's casing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

# Compared byte by byte on both databases: ranges of keys and the order of lists depend on it.
NAME = String().with_variant(String(collation="C"), "postgresql")

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
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", NAME, primary_key=True),
    Column("family_id", NAME, nullable=False, index=True),
    Column("parent_hash", NAME, index=True),  # the token that this one was given for
    Column("object_id", NAME, nullable=False, index=True),
    Column("client_id", NAME, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    Column("revoked_at", Float),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("device_code_hash", NAME, primary_key=True),
    Column("user_code", NAME, nullable=False, unique=True),
    Column("client_id", NAME, nullable=False),
    Column("scope", Text, nullable=False),
    Column("tenant", NAME, nullable=False),
    Column("object_id", NAME),  # set once a person has signed in
    Column("state", NAME, nullable=False),  # pending | approved | denied | redeemed
    Column("expires_at", Float, nullable=False),
    Column("last_polled_at", Float),
    Column("interval_seconds", Integer, nullable=False),
)

# Sign-ins through the browser that a program may turn into tokens, once (RFC 6749 section 4.1).
authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("code_hash", NAME, primary_key=True),  # SHA-256 (hex)
    Column("object_id", NAME, nullable=False, index=True),
    Column("client_id", NAME, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("challenge", NAME, nullable=False),  # PKCE S256
    Column("nonce", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("redeemed_at", Float),
    Column("family_id", NAME),  # of the refresh tokens that it gave
)

# Assertions that were used and may not be used again.
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("owner", NAME, primary_key=True),  # object id
    Column("assertion_hash", NAME, primary_key=True),  # SHA-256 (hex) of its 'jti'
    Column("ends_at", Float, nullable=False, index=True),
)

# How often a name was tried at a sign-in; rows live for minutes.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("name_hash", NAME, primary_key=True),  # SHA-256 (hex) of kind and name
    Column("started_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ends_at", Float, nullable=False, index=True),
)

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

operations = Table(
    "operations",
    metadata,
    Column("operation_id", NAME, primary_key=True),
    Column("subscription_id", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("target_id", NAME, nullable=False),
    Column("principal_id", NAME, nullable=False),
    Column("status", NAME, nullable=False, index=True),  # InProgress | Succeeded | Failed | Canceled
    Column("error", Text),  # JSON: the inner error object
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
)

# The agent behind a machine: what is hot or secret-adjacent stays out of the document.
machines = Table(
    "machines",
    metadata,
    Column("machine_key", NAME, primary_key=True),
    Column("principal_id", NAME, nullable=False, unique=True),
    Column("vm_id", NAME, nullable=False),
    Column("enrolled_at", Float),  # empty until the first certificate was issued
    Column("facts", Text, nullable=False),  # JSON: properties reported by the agent
    Column("facts_digest", NAME, nullable=False),
)

presence = Table(
    "presence",
    metadata,
    Column("machine_key", NAME, primary_key=True),
    Column("last_seen", Float, nullable=False),
    Column("departed_at", Float),  # when the control channel closed, empty while it is open
    Column("status_changed_at", Float, nullable=False),
    Column("agent_version", NAME, nullable=False),
    Column("holder", NAME),  # the node that holds the control channel, when nodes share the store
    Column("version", BigInteger, nullable=False, server_default="0"),  # grows with every write
    Index("presence_by_version", "version"),
)

# What a machine is asked to do: one row until it has reported the end (docs/adr/0006).
work = Table(
    "work",
    metadata,
    Column("work_id", NAME, primary_key=True),  # id of the operation that ends with it
    Column("machine_key", NAME, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the order in which the machine gets its work
    Column("target_key", NAME, nullable=False),  # the resource that it is about
    Column("kind", NAME, nullable=False),  # apply | remove | the name of an action
    Column("content", Text, nullable=False),  # JSON: what the resource does not say; no secrets
    Column("created_at", Float, nullable=False),
    Column("fetched_at", Float),  # empty while no agent has it
    Index("work_by_machine", "machine_key", "sequence"),
    Index("work_by_target", "target_key"),
)

# What is written and never read back by callers: sealed by a key that is not in the database.
protected = Table(
    "protected",
    metadata,
    Column("resource_key", NAME, primary_key=True),
    Column("sealed", Text, nullable=False),
)

# The activity log: who changed what, and how it ended. Old rows go.
events = Table(
    "events",
    metadata,
    Column("event_id", NAME, primary_key=True),
    Column("at", Float, nullable=False),
    Column("subscription_id", NAME, nullable=False),  # empty: of the tenant
    Column("tenant_id", NAME, nullable=False),
    Column("group_key", NAME, nullable=False),
    Column("resource_key", NAME, nullable=False),
    Column("provider_key", NAME, nullable=False),  # lower-case namespace
    Column("correlation_id", NAME, nullable=False),
    Column("document", Text, nullable=False),  # JSON: the event as clients see it
    Index("events_by_age", "at"),
    Index("events_by_subscription", "subscription_id", "at", "event_id"),
    Index("events_by_group", "subscription_id", "group_key", "at", "event_id"),
    Index("events_by_resource", "resource_key", "at", "event_id"),
    Index("events_by_correlation", "correlation_id", "at", "event_id"),
)

# The nodes that serve this cloud together; empty when there is only one, on SQLite.
nodes = Table(
    "nodes",
    metadata,
    Column("node_id", NAME, primary_key=True),
    Column("address", NAME, nullable=False),  # for people: where its machines meet their callers
    Column("beat_at", Float, nullable=False),  # by the database's clock: the lease
    Column("clock_at", Float, nullable=False),  # the same moment by the node's own clock
)

# What one node asks another; a row lives for milliseconds.
mail = Table(
    "mail",
    metadata,
    Column("mail_id", NAME, primary_key=True),
    Column("recipient", NAME, nullable=False, index=True),  # node id
    Column("body", Text, nullable=False),  # JSON; holds secrets
    Column("sent_at", Float, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", NAME, primary_key=True),
    Column("principal_id", NAME, nullable=False, index=True),
    Column("thumbprint", NAME, nullable=False, unique=True),  # sha-256 of the DER, base64url
    Column("pem", Text, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
    Column("revoked_at", Float),
)
