"""``az account ...`` with one sign-in: several subscriptions, one's own tenant and one as a guest."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from landbridge_server.arm.grants import grant
from landbridge_server.arm.roles import READER
from landbridge_server.config import Config
from landbridge_server.store import principals
from landbridge_server.store.database import Database
from own_names import NamedCloud, unavailable
from real_az import Az
from running import short_folder
from sign_in_table import VERSIONS
from signing_in import prepare

pytestmark = [
    pytest.mark.az,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-"),
]


@dataclass
class Known:
    """What the administrator should find."""

    named: NamedCloud
    other_tenant: str
    first: str
    second: str
    theirs: str

    @property
    def home(self) -> str:
        return self.named.plane.admin.tenant


@pytest.fixture(scope="module")
def known() -> Iterator[Known]:
    """A cloud whose administrator is a guest, with Reader, in a second tenant."""
    folder = short_folder()
    named = NamedCloud(folder, "127.0.0.80", "accounts.landbridge.test")
    plane = named.plane

    def made(*words: str) -> Any:
        found = json.loads(plane.landbridge(*words, "-o", "json"))
        return found[0] if isinstance(found, list) else found

    try:
        other = made("tenant", "create", "fabrikam.example")["tenantId"]
        second = made("subscription", "create", "Second")["subscriptionId"]
        theirs = made("subscription", "create", "Theirs", "--tenant", other)["subscriptionId"]
        made("tenant", "add-guest", other, plane.admin.user_name)
        for tenant, subscription in ((plane.admin.tenant, second), (other, theirs)):
            give_reader(named, tenant, f"/subscriptions/{subscription}")
        yield Known(named, other, plane.admin.subscription, second, theirs)
    finally:
        plane.stop()
        shutil.rmtree(folder)


def give_reader(named: NamedCloud, tenant: str, scope: str) -> None:
    """Give the administrator, as a user, Reader at a scope of a tenant."""
    db = Database(Config(named.plane.data).database_url)
    try:
        with db.writing() as connection:
            user = principals.by_user_name(connection, named.plane.admin.user_name)
            assert user is not None
            who = {"principal_id": user.object_id, "principal_type": "User"}
            grant(connection, tenant_id=tenant, role=READER, scope=scope, now=time.time(), **who)
    finally:
        db.close()


@pytest.fixture(scope="module", params=[VERSIONS[0], pytest.param(VERSIONS[1], marks=pytest.mark.soak)])
def az(request: pytest.FixtureRequest, known: Known) -> Az:
    """An ``az`` in which the administrator has signed in, once, without naming a tenant."""
    folder = known.named.folder / f"az-{request.param}"
    folder.mkdir()
    found = Az(request.param, folder, known.named.plane.admin.ca_file, known.named.inside)
    prepare(found, "aad", f"https://management.{known.named.domain}")
    plane = known.named.plane
    listed = found("login", "-u", plane.admin.user_name, "-p", plane.password)
    assert {one["id"] for one in listed} >= {known.first, known.second, known.theirs}
    return found


def claims(token: str) -> dict[str, Any]:
    segment = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found


def test_every_subscription_is_listed_with_its_tenant(az: Az, known: Known) -> None:
    listed = az("account", "list")
    new = {one["id"] for one in listed if one["name"].startswith("New")}  # of the other version's test
    assert {one["id"]: one["tenantId"] for one in listed if one["id"] not in new} == {
        known.first: known.home,
        known.second: known.home,
        known.theirs: known.other_tenant,
    }
    assert {one["user"]["name"] for one in listed} == {known.named.plane.admin.user_name}
    assert len([one for one in listed if one["isDefault"]]) == 1


def test_one_is_set_by_name_and_used_in_its_tenant(az: Az, known: Known) -> None:
    az("account", "set", "-s", "Theirs")
    shown = az("account", "show")
    assert (shown["id"], shown["tenantId"], shown["name"]) == (known.theirs, known.other_tenant, "Theirs")
    assert az("group", "list") == []
    refused = az.call("group", "create", "-n", "mine", "-l", "local")
    assert "AuthorizationFailed" in refused.stderr
    assert [one["name"] for one in az("account", "list-locations")] == ["local"]
    az("account", "set", "-s", known.second)
    assert az("account", "show")["tenantId"] == known.home


def test_tokens_are_for_the_resource_and_the_tenant_that_are_asked(az: Az, known: Known) -> None:
    domain = known.named.domain
    arm, graph = f"https://management.{domain}", f"https://graph.{domain}/"
    for words, audience, tenant in (
        ((), arm, known.home),
        (("-s", known.theirs), arm, known.other_tenant),
        (("--tenant", known.other_tenant), arm, known.other_tenant),
        (("--resource", graph), graph, known.home),
        (("--scope", f"{graph}/.default"), graph, known.home),
    ):
        given = az("account", "get-access-token", *words)
        found = claims(given["accessToken"])
        assert (found["aud"].rstrip("/"), found["tid"]) == (audience.rstrip("/"), tenant), words
        assert (given["tenant"], given["tokenType"], found["amr"]) == (tenant, "Bearer", ["pwd"])
    refused = az.call("account", "get-access-token", "--resource", "https://vault.elsewhere.example")
    assert "AADSTS500011" in refused.stderr
    assert f"https://management.{domain}" in refused.stderr  # what there is instead


def test_tenants_are_those_in_which_one_may_act(az: Az, known: Known) -> None:
    listed = az("rest", "--method", "get", "--url", "/tenants?api-version=2022-12-01")["value"]
    assert [one["tenantId"] for one in listed] == [known.home, known.other_tenant]


def test_a_new_subscription_comes_with_refresh(az: Az, known: Known) -> None:
    words = ("subscription", "create", f"New {az.version}", "-o", "json")
    made = json.loads(known.named.plane.landbridge(*words))
    new = (made[0] if isinstance(made, list) else made)["subscriptionId"]
    give_reader(known.named, known.home, f"/subscriptions/{new}")
    assert new in {one["id"] for one in az("account", "list", "--refresh")}


def test_a_sign_in_that_was_ended_is_said_in_words(az: Az, known: Known) -> None:
    plane, user = known.named.plane, known.named.plane.admin.user_name
    plane.landbridge("user", "mfa-enroll", user)
    plane.landbridge("user", "mfa-remove", user)
    where = ("--tenant", known.other_tenant, "--resource", f"https://graph.{known.named.domain}/")
    refused = az.call("account", "get-access-token", *where)
    assert refused.returncode == 1
    assert "AADSTS50173: " in refused.stderr
    assert "az login" in refused.stderr


def test_who_logs_out_or_clears_is_out(az: Az, known: Known) -> None:
    az("logout")
    assert az("account", "list") == []
    az("account", "clear")
    refused = az.call("account", "show")
    assert (refused.returncode, "az login" in refused.stderr) == (1, True)
