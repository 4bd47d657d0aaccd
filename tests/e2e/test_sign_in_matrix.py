"""Every way to sign in, in both styles, with both versions of the real ``az``; prints a table.

The control planes listen at port 443 of loopback addresses, because AAD-style password sign-in
asks port 443 of the login host whatever the authority's port is (contract: az, section 11).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from own_names import NamedCloud, unavailable
from real_az import Az
from running import short_folder

pytestmark = [
    pytest.mark.az,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-"),
]

STYLES = {"aad": "127.0.0.77", "adfs": "127.0.0.78"}
VERSIONS = ("2.91", "2.66")
WAYS = ("password", "browser", "device code", "SP secret", "SP certificate")
SECONDS = 120
RESULTS: dict[tuple[str, str, str], str] = {}


def make_pem(folder: Path) -> Path:
    """Write a key with its own certificate, as the document has it for a service principal."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spn")])
    now = datetime.now(UTC) - timedelta(minutes=5)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    path = folder / "spn.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module", params=list(STYLES))
def style(request: pytest.FixtureRequest) -> str:
    """AAD or AD FS."""
    return str(request.param)


@pytest.fixture(scope="module")
def named(style: str) -> Iterator[NamedCloud]:
    """A control plane of that style; the administrator's service principal has a certificate, too."""
    folder = short_folder()
    cloud = NamedCloud(folder, STYLES[style], f"{style}.landbridge.test", "--identity-provider", style)
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
    assert az.program.exists(), "Run tools/client_environments.sh first, as ./test does."
    settings = ["core.login_experience_v2=off"]
    if style == "aad":  # the AD FS style asks nobody else, as it is
        settings.append("core.instance_discovery=false")
    az("config", "set", *settings)
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", f"https://management.{named.domain}")
    az("cloud", "set", "-n", "Mine")
    if az.version == "2.66":
        az("cloud", "update", "--profile", "2018-03-01-hybrid")
    return az


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what came out."""
    yield
    columns = [(style, version) for style in STYLES for version in VERSIONS]
    lines = [f"{'':16}" + "".join(f"{style} {version}".ljust(12) for style, version in columns)]
    for way in WAYS:
        cells = [RESULTS.get((style, version, way), "-") for style, version in columns]
        lines.append(f"{way:16}" + "".join(cell.ljust(12) for cell in cells))
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines))


@pytest.fixture
def az(prepared: Az, named: NamedCloud) -> Iterator[Az]:
    """A fresh copy: az answers from its cache of tokens where it has one."""
    folder = short_folder()
    found = Az(prepared.version, folder, named.plane.admin.ca_file, named.inside)
    shutil.copytree(prepared.environment["AZURE_CONFIG_DIR"], found.environment["AZURE_CONFIG_DIR"])
    found.environment["BROWSER"] = str(named.browser())
    yield found
    shutil.rmtree(folder)


def sign_in(az: Az, style: str, way: str, named: NamedCloud) -> None:
    """Sign in; never wait for a person for longer than ``SECONDS``."""
    admin = named.plane.admin
    tenant = () if style == "adfs" else ("--tenant", admin.tenant)
    app = ("login", "--service-principal", "-u", admin.client_id, "--tenant", admin.tenant)
    if way == "device code":
        return enter_code(az.start("login", "--use-device-code", *tenant), named)
    words = {
        "password": ("login", "-u", admin.user_name, "-p", named.plane.password, *tenant),
        "browser": ("login", *tenant),
        "SP secret": (*app, "-p", admin.client_secret),
        "SP certificate": (*app, "--certificate", str(named.folder / "spn.pem")),
    }[way]
    done = az.call(*words, seconds=SECONDS)
    log = named.folder / "browser.log"
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"
    return None


def enter_code(waiting: subprocess.Popen[str], named: NamedCloud) -> None:
    """Enter the code that ``az`` shows into the real page."""
    said = ""
    try:
        for line in waiting.stdout or ():
            said += line
            if found := re.search(r"open the page (https://\S+) and enter the code (\S+) to", said):
                assert "signed in" in named.enter(found[1], found[2])
                break
        rest, _ = waiting.communicate(timeout=SECONDS)
        assert waiting.returncode == 0, said + rest
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.parametrize("way", WAYS)
def test_sign_in(az: Az, style: str, way: str, named: NamedCloud) -> None:
    RESULTS[style, az.version, way] = "FAILED"
    sign_in(az, style, way, named)
    account = az("account", "show")
    admin = named.plane.admin
    person = not way.startswith("SP")
    assert account["id"] == admin.subscription
    assert account["user"] == {
        "name": admin.user_name if person else admin.client_id,
        "type": "user" if person else "servicePrincipal",
    }
    assert az("group", "list") == []
    RESULTS[style, az.version, way] = "passed"


@pytest.mark.parametrize("way", ["password", "SP certificate"])
def test_what_is_wrong_is_said_in_words(az: Az, way: str, named: NamedCloud, tmp_path: Path) -> None:
    admin = named.plane.admin
    if way == "password":
        done = az.call("login", "-u", "nobody@nowhere", "-p", "wrong", "--tenant", admin.tenant)
        number = "AADSTS50126"
    else:
        words = ("login", "--service-principal", "-u", admin.client_id, "--tenant", admin.tenant)
        done = az.call(*words, "--certificate", str(make_pem(tmp_path)))
        number = "AADSTS700027"
    assert done.returncode == 1
    assert number in done.stderr
    assert "Traceback" not in done.stderr


def test_admin_json_names_the_user(named: NamedCloud) -> None:
    """What the scripted visitor signs in with."""
    assert (
        json.loads((named.plane.data / "admin.json").read_text())["userName"] == named.plane.admin.user_name
    )


def test_a_password_without_the_second_factor_is_refused_and_the_way_out_is_named(
    az: Az, named: NamedCloud
) -> None:
    admin = named.plane.admin
    named.plane.landbridge("user", "mfa-enroll", admin.user_name)
    try:
        done = az.call("login", "-u", admin.user_name, "-p", named.plane.password, "--tenant", admin.tenant)
    finally:
        named.plane.landbridge("user", "mfa-remove", admin.user_name)
    assert done.returncode == 1
    assert "AADSTS50076" in done.stderr
    assert "az login --use-device-code" in done.stderr
    assert "Traceback" not in done.stderr
