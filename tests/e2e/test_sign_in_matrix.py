"""Every way to sign in, in both styles, with both versions of the real ``az``; prints a table.

The control planes listen at port 443 of loopback addresses, because AAD-style password sign-in
asks port 443 of the login host whatever the authority's port is (contract: az, section 11).
``python -m tests.e2e.sign_in_matrix`` runs the whole table.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import sign_in_table
from landbridge_server.config import Config
from landbridge_server.identity import directory
from landbridge_server.identity.attempts import AttemptLimiter
from landbridge_server.identity.service import PASSWORD_ATTEMPTS, PASSWORD_SECONDS
from landbridge_server.store.database import Database
from own_machine import IDENTITY, OwnMachine
from own_machine import unavailable as no_machine
from own_names import NamedCloud, unavailable
from real_az import Az
from running import short_folder
from sign_in_table import FAILED, LIMITS, PASSED, STYLES, VERSIONS, WAYS
from signing_in import enroll, make_pem, prepare, sign_in

pytestmark = [
    pytest.mark.az,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-"),
]

ADDRESSES = {"aad": "127.0.0.77", "adfs": "127.0.0.78"}


@pytest.fixture(scope="module", params=list(STYLES))
def style(request: pytest.FixtureRequest) -> str:
    """AAD or AD FS."""
    return str(request.param)


@pytest.fixture(scope="module")
def named(style: str) -> Iterator[NamedCloud]:
    """A control plane of that style; the administrator's service principal has a certificate, too."""
    folder = short_folder()
    cloud = NamedCloud(folder, ADDRESSES[style], f"{style}.landbridge.test", "--identity-provider", style)
    try:
        pem = make_pem(folder)
        cloud.plane.landbridge("sp", "add-certificate", "admin", "--certificate", str(pem))
        yield cloud
    finally:
        cloud.plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=VERSIONS)
def prepared(request: pytest.FixtureRequest, style: str, named: NamedCloud) -> Az:
    """An ``az`` that knows the cloud, and where nobody is signed in."""
    folder = named.folder / f"az-{request.param}"
    folder.mkdir()
    az = Az(request.param, folder, named.plane.admin.ca_file, named.inside)
    return prepare(az, style, f"https://management.{named.domain}")


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what came out."""
    yield
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n" + sign_in_table.plain())


@pytest.fixture
def az(prepared: Az, named: NamedCloud) -> Iterator[Az]:
    """A fresh copy: az answers from its cache of tokens where it has one."""
    folder = short_folder()
    found = Az(prepared.version, folder, named.plane.admin.ca_file, named.inside)
    shutil.copytree(prepared.environment["AZURE_CONFIG_DIR"], found.environment["AZURE_CONFIG_DIR"])
    found.environment["BROWSER"] = str(named.browser())
    yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def machine(style: str, named: NamedCloud) -> Iterator[OwnMachine]:
    """A connected machine, whose identity may read the subscription."""
    if no_machine():
        pytest.skip(no_machine())
    own = OwnMachine(named.plane, address=(ADDRESSES[style], 443), hosts=named.hosts)
    try:
        own.connect()
        own.allow()
        yield own
    finally:
        own.stop()


@pytest.mark.parametrize("way", WAYS)
def test_sign_in(request: pytest.FixtureRequest, az: Az, style: str, way: str, named: NamedCloud) -> None:
    if limit := LIMITS.get((az.version, way)):
        pytest.skip(f"az {az.version}: {limit}")
    sign_in_table.note((style, az.version, way), FAILED)
    admin = named.plane.admin
    name, kind = admin.user_name, "user"
    if way.startswith("SP"):
        name, kind = admin.client_id, "servicePrincipal"
    if way == sign_in_table.IDENTITY:
        az.before = request.getfixturevalue("machine").inside
        az.environment |= IDENTITY
        name, kind = "systemAssignedIdentity", "servicePrincipal"
    sign_in(az, style, way, named)
    account = az("account", "show")
    assert (account["id"], account["tenantId"]) == (admin.subscription, admin.tenant)
    assert {name_: account["user"][name_] for name_ in ("name", "type")} == {"name": name, "type": kind}
    assert [one["name"] for one in az("account", "list-locations")] == ["local"]
    sign_in_table.note((style, az.version, way), PASSED)


def test_a_second_factor_keeps_passwords_out_and_lets_pages_in(az: Az, style: str, named: NamedCloud) -> None:
    """As the document says: where it is demanded, the browser or a device code is the way."""
    admin, domain = named.plane.admin, named.plane.admin.user_name.rpartition("@")[2]
    tenant = () if style == "adfs" else ("--tenant", admin.tenant)  # AD FS: az leaves it out
    password = ("login", "-u", admin.user_name, "-p", named.plane.password, *tenant)
    named.plane.landbridge("tenant", "require-mfa", domain)
    try:
        nothing_enrolled = az.call(*password)
        assert (nothing_enrolled.returncode, "AADSTS50079" in nothing_enrolled.stderr) == (1, True)
        assert "landbridge user mfa-enroll" in nothing_enrolled.stderr
        enroll(named)
        # msal repeats a refusal for a minute, without asking, where the request is the same.
        (Path(az.environment["AZURE_CONFIG_DIR"]) / "msal_http_cache.bin").unlink()
        refused = az.call(*password)
        assert (refused.returncode, "AADSTS50076" in refused.stderr) == (1, True), refused.stderr
        assert "az login --use-device-code" in refused.stderr
        assert "Traceback" not in refused.stderr
        for way in ("device code", "browser"):
            sign_in(az, style, way, named)
            assert az("account", "show")["user"]["name"] == admin.user_name
            az("account", "clear")
    finally:
        named.plane.landbridge("user", "mfa-remove", admin.user_name)
        named.plane.landbridge("tenant", "require-mfa", domain, "--off")


@dataclass
class People:
    """Those who cannot sign in."""

    domain: str
    password: str
    app_id: str
    secret: str


@pytest.fixture(scope="module")
def people(named: NamedCloud) -> People:
    """A disabled user, one at whom somebody guessed, and a program whose secret has ended."""
    admin, now, password = named.plane.admin, time.time(), "a good password"
    domain = admin.user_name.rpartition("@")[2]
    db = Database(Config(named.plane.data).database_url)

    async def guess() -> None:
        limiter = AttemptLimiter(db, time.time, "user", PASSWORD_ATTEMPTS, PASSWORD_SECONDS)
        for _ in range(PASSWORD_ATTEMPTS):
            await limiter.begin(f"tried@{domain}")

    try:
        with db.writing() as connection:
            off = directory.create_user(connection, admin.tenant, f"off@{domain}", "", password, now)
            directory.set_enabled(connection, off.object_id, False, now)
            directory.create_user(connection, admin.tenant, f"tried@{domain}", "", password, now)
            old = directory.create_service_principal(connection, admin.tenant, "old", now - 86400, days=0.5)
        asyncio.run(guess())
    finally:
        db.close()
    return People(domain, password, *old[1:])


def test_what_is_wrong_is_said_in_words(az: Az, named: NamedCloud, people: People, tmp_path: Path) -> None:
    admin, mine = named.plane.admin, ("--tenant", named.plane.admin.tenant)
    app = ("login", "--service-principal", *mine)
    for number, words in {
        50126: ("login", "-u", "nobody@nowhere", "-p", "wrong", *mine),
        50057: ("login", "-u", f"off@{people.domain}", "-p", people.password, *mine),
        50053: ("login", "-u", f"tried@{people.domain}", "-p", people.password, *mine),
        700016: (*app, "-u", "00000000-0000-0000-0000-00000000abcd", "-p", "x"),
        7000215: (*app, "-u", admin.client_id, "-p", "wrong"),
        7000222: (*app, "-u", people.app_id, "-p", people.secret),
        700027: (*app, "-u", admin.client_id, "--certificate", str(make_pem(tmp_path))),
        90002: (*app[:2], "--tenant", "nowhere.example", "-u", admin.client_id, "-p", "x"),
        65004: ("login", *mine),  # and the person presses Cancel
    }.items():
        az.environment["BROWSER"] = str(named.browser(deny=True))
        done = az.call(*words)
        assert done.returncode == 1, number
        assert f"AADSTS{number}: " in done.stderr, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
