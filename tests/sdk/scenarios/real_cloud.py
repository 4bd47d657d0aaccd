"""What every scenario needs, in an environment of the SDKs: the cloud, a credential, clients, a group.

This runs in another interpreter than the tests around it, which has Azure's SDKs and pytest and
nothing of Landbridge. ``LANDBRIDGE_ADMIN`` names the ``admin.json`` of a running control plane;
its root certificate comes by ``REQUESTS_CA_BUNDLE`` and ``SSL_CERT_FILE``, as with any SDK.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.resource.resources import ResourceManagementClient

MACHINES = "Microsoft.HybridCompute/machines"
MACHINE_VERSION = "2024-07-10"
AT = {"api_version": MACHINE_VERSION}
MACHINE = {"location": "local", "properties": {"locationData": {"name": "Redmond"}}}
_numbers = itertools.count(1)


def until(done, seconds=30):
    """Ask until something is so, as people do who wait for a registration."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"It was not so within {seconds} s."
        time.sleep(0.2)


class Cloud:
    """A running control plane, as its administrator's service principal sees it."""

    def __init__(self):
        self.admin = json.loads(Path(os.environ["LANDBRIDGE_ADMIN"]).read_text())
        self.url = self.admin["resourceManager"].rstrip("/")
        self.tenant = self.admin["tenantId"]
        self.subscription = self.admin["subscriptionId"]
        self.scope = f"/subscriptions/{self.subscription}"
        self.audience = f"{self.url}/.default"
        self.credential = self.sign_in()
        self._open = ExitStack()

    def identity(self, client_id="", secret=""):
        """The arguments of a credential of azure-identity, synchronous or not."""
        return {
            "tenant_id": self.tenant,
            "client_id": client_id or self.admin["clientId"],
            "client_secret": secret or self.admin["clientSecret"],
            "authority": self.url,
            "disable_instance_discovery": True,
        }

    def sign_in(self, client_id="", secret=""):
        return ClientSecretCredential(**self.identity(client_id, secret))

    def settings(self, **more):
        """The arguments that every management client takes."""
        return {
            "base_url": self.url,
            "credential_scopes": [self.audience],
            "polling_interval": 1,
            **more,
        }

    def client(self, kind, credential=None, **more):
        """Make a management client for the first subscription; it is closed at the end."""
        made = kind(credential or self.credential, self.subscription, **self.settings(**more))
        return self._open.enter_context(made)

    def without_subscription(self, kind, **more):
        """Make a client of the few kinds that belong to no subscription."""
        return self._open.enter_context(kind(self.credential, **self.settings(**more)))

    def new_name(self, start):
        """A name that no other scenario of this process has."""
        return f"{start}-{os.getpid()}-{next(_numbers)}"

    def close(self):
        self._open.close()
        self.credential.close()


class Group:
    """A resource group with what is in it."""

    def __init__(self, cloud, resources):
        self.cloud = cloud
        self.resources = resources
        self.name = cloud.new_name("sdk")
        self.id = f"{cloud.scope}/resourceGroups/{self.name}"
        self.resources.resource_groups.create_or_update(self.name, {"location": "local"})

    def machine_id(self, name):
        return f"{self.id}/providers/{MACHINES}/{name}"

    def add_machine(self, name, **more):
        """Make a machine by id, which every version of every SDK can; return its id."""
        made = self.resources.resources.begin_create_or_update_by_id(
            self.machine_id(name), parameters={**MACHINE, **more}, **AT
        ).result()
        assert made.name == name
        return self.machine_id(name)

    def delete(self):
        try:
            self.resources.resource_groups.begin_delete(self.name).result(60)
        except ResourceNotFoundError:
            pass


@pytest.fixture(scope="session")
def cloud():
    made = Cloud()
    yield made
    made.close()


@pytest.fixture(scope="session")
def resources(cloud):
    """The client for groups, resources, providers and tags."""
    return cloud.client(ResourceManagementClient)


@pytest.fixture
def group(cloud, resources):
    """A group of the scenario's own."""
    made = Group(cloud, resources)
    yield made
    made.delete()


@pytest.fixture
def machine(group):
    """The id of a machine in the scenario's group."""
    return group.add_machine("web1")
