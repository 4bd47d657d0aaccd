"""How the real ``az`` signs in, in every way, with a person at the pages where one is needed."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from own_names import NamedCloud
from real_az import Az

SECONDS = 120
"""How long a sign-in may take; nobody sits there."""


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


def prepare(az: Az, style: str, url: str) -> Az:
    """Tell an ``az`` of the cloud, as its documentation does."""
    assert az.program.exists(), "Run tools/client_environments.sh first, as ./test does."
    settings = ["core.login_experience_v2=off"]
    if style == "aad":  # the AD FS style asks nobody else, as it is
        settings.append("core.instance_discovery=false")
    az("config", "set", *settings)
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", url)
    az("cloud", "set", "-n", "Mine")
    if az.version == "2.66":
        az("cloud", "update", "--profile", "2018-03-01-hybrid")
    return az


def sign_in(az: Az, style: str, way: str, named: NamedCloud) -> None:
    """Sign in as the administrator, in one of the ways of ``sign_in_table``."""
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
        "managed identity": ("login", "--identity"),
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


def enroll(named: NamedCloud) -> None:
    """Give the administrator an authenticator, which whoever visits the pages holds."""
    user = named.plane.admin.user_name
    made = json.loads(named.plane.landbridge("user", "mfa-enroll", user, "-o", "json"))
    path = named.plane.data / "authenticator.json"
    path.write_text(json.dumps({"secret": made["secret"], "used": []}))
