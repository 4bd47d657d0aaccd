"""The tables of the control plane: the one description that the migrations must match.

Times are unix seconds as floats. A ``*_key`` column is the lower-case form of its
neighbour, because ARM compares names without case and gives back the caller's casing.
"""

from __future__ import annotations

from landbridge_server.store.schema.authorization import (
    changes_of_holdings,
    role_assignments,
    role_definitions,
)
from landbridge_server.store.schema.columns import NAME, metadata
from landbridge_server.store.schema.directory import (
    credentials,
    guests,
    principals,
    settings,
    subscriptions,
    tenants,
)
from landbridge_server.store.schema.directory_objects import (
    applications,
    directory_role_assignments,
    group_members,
    groups,
    identifier_uris,
    owners,
    principal_details,
)
from landbridge_server.store.schema.extensions import (
    extension_chunks,
    extension_packages,
    extension_upgrades,
)
from landbridge_server.store.schema.fleet import certificates, former_names, machines, mail, nodes, presence
from landbridge_server.store.schema.operations import (
    events,
    machine_news,
    operations,
    output_chunks,
    output_streams,
    work,
)
from landbridge_server.store.schema.resources import (
    feature_registrations,
    protected,
    provider_registrations,
    resource_tags,
    resources,
    tag_names,
    tag_values,
)
from landbridge_server.store.schema.sign_in import (
    authorization_codes,
    device_codes,
    refresh_tokens,
    sign_in_attempts,
    used_assertions,
)

__all__ = [
    "NAME",
    "applications",
    "authorization_codes",
    "certificates",
    "changes_of_holdings",
    "credentials",
    "device_codes",
    "directory_role_assignments",
    "events",
    "extension_chunks",
    "extension_packages",
    "extension_upgrades",
    "feature_registrations",
    "former_names",
    "group_members",
    "groups",
    "guests",
    "identifier_uris",
    "machine_news",
    "machines",
    "mail",
    "metadata",
    "nodes",
    "operations",
    "output_chunks",
    "output_streams",
    "owners",
    "presence",
    "principal_details",
    "principals",
    "protected",
    "provider_registrations",
    "refresh_tokens",
    "resource_tags",
    "resources",
    "role_assignments",
    "role_definitions",
    "settings",
    "sign_in_attempts",
    "subscriptions",
    "tag_names",
    "tag_values",
    "tenants",
    "used_assertions",
    "work",
]
