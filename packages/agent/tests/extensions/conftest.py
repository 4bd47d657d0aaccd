"""A shop of signed packages, and a machine that carries out work about extensions in this process."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
import uuid
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from landbridge_agent.extensions.context import Context
from landbridge_agent.extensions.packages import NotAvailable
from landbridge_agent.extensions.queue import carry_out_with
from landbridge_agent.extensions.records import Record, Records
from landbridge_agent.paths import Paths
from landbridge_agent.work.processes import Limits
from landbridge_agent.work.task import Outcome, Task
from landbridge_wire.work_api import EXTENSION, MACHINE, ExtensionPackage, WorkItem

MACHINE_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m"
PUBLISHER, TYPE = "Contoso.Tools", "Probe"

SCRIPT = """#!/bin/sh
echo "$1 $VERSION $ConfigSequenceNumber $ConfigExtensionName" >> "{log}"
printf '%s\\n' "$AZURE_GUEST_AGENT_UPDATING_FROM_VERSION" > "{log}.from"
env > "{log}.env"
say() {{
  named="$ConfigSequenceNumber"
  [ -z "$ConfigExtensionName" ] || named="$ConfigExtensionName.$named"
  printf '[{{"version":1,"status":{{"status":"%s","code":%s,"formattedMessage":{{"message":"%s"}}}}}}]' \\
    "$1" "$2" "$3" > "status/$named.status"
}}
case "$1" in
{cases}
esac
exit 0
"""


class Signer:
    """A root, an issuing CA below it, and certificates for whatever purpose."""

    def __init__(self) -> None:
        self.root_key, self.issuing_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self.issue("Root", self.root_key, "Root", self.root_key, ca=True)
        self.issuing = self.issue("Issuing", self.issuing_key, "Root", self.root_key, ca=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.leaf = self.issue("Code", self.key, "Issuing", self.issuing_key)

    def issue(
        self,
        name: str,
        key: Any,
        issuer: str,
        issuer_key: Any,
        ca: bool = False,
        purpose: Any = ExtendedKeyUsageOID.CODE_SIGNING,
        days: float = 30,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    @property
    def roots(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        chain = [one.public_bytes(Encoding.DER) for one in (self.leaf, self.issuing)]
        said = {"alg": "ES256", "x5c": [base64.b64encode(one).decode() for one in chain], **header}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (said, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Shop:
    """Behaves like the cloud's packages; ``trouble`` counts reads that fail before one works."""

    def __init__(self, log: Path) -> None:
        self.signer, self.log = Signer(), log
        self.packages: dict[str, tuple[ExtensionPackage, bytes]] = {}
        self.trouble = 0
        self.reads: list[int] = []

    def zip(self, cases: Mapping[str, str] | None = None, several: bool = False, **more: bytes) -> bytes:
        body = "\n".join(f"{name}) {text} ;;" for name, text in (cases or {}).items())
        manifest = {f"{name}Command": f"bin/handler {name}" for name in
                    ("install", "enable", "update", "disable", "uninstall")}  # fmt: skip
        said = [{"handlerManifest": {**manifest, "supportsMultipleExtensions": several}, "version": 1.0}]
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("HandlerManifest.json", json.dumps(said))
            archive.writestr("bin/handler", SCRIPT.format(log=self.log, cases=body))
            for name, data in more.items():
                archive.writestr(name, data)
        return content.getvalue()

    def publish(self, version: str = "1.0", content: bytes | None = None, **words: Any) -> ExtensionPackage:
        content = self.zip(**words) if content is None else content
        claims = {
            "publisher": PUBLISHER,
            "type": TYPE,
            "version": version,
            "digest": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        package = ExtensionPackage(**claims, signature=self.signer.sign(claims))
        self.packages[version] = package, content
        return package

    def replace(self, which: str, content: bytes | None = None, **changes: Any) -> None:
        """Change what is given out under a version, behind its signer's back."""
        package, held = self.packages[which]
        changed = ExtensionPackage(**{**package.to_json(), **changes})
        self.packages[which] = changed, held if content is None else content

    def find(self, publisher: str, kind: str, version: str) -> ExtensionPackage | None:
        before = f"{version}." if version else ""
        found = [one for name, (one, _) in self.packages.items() if f"{name}.".startswith(before)]
        found = [one for one in found if (one.publisher, one.type) == (publisher, kind)]
        return max(found, key=lambda one: [int(part) for part in one.version.split(".")], default=None)

    def read(self, package: ExtensionPackage, offset: int, count: int) -> bytes:
        if self.trouble:
            self.trouble -= 1
            raise NotAvailable("the line is down")
        self.reads.append(offset)
        return self.packages[package.version][1][offset : offset + count]

    def roots(self) -> str:
        return self.signer.roots


class Host:
    """A machine: each method carries out one item of work, as a worker does."""

    def __init__(self, root: Path, shop: Shop) -> None:
        self.paths = Paths(root, relocated=True)
        self.shop, self.settings = shop, dict[str, object]()
        self.limits = Limits()
        self.paused: list[float] = []
        self.observed: list[Any] = []

    def task(self, kind: str, name: str = "probe", item_type: str = EXTENSION, **item: Any) -> Task:
        target = f"{MACHINE_ID}/extensions/{name}" if item_type == EXTENSION else MACHINE_ID
        work = WorkItem(str(uuid.uuid4()), kind, target, item_type, 1, **item)
        folder = self.paths.work / work.id
        folder.mkdir(parents=True, mode=0o700)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return Task(work, self.paths, folder, self.settings, self.limits, environment, time.time)

    def context(self, task: Task) -> Context:
        context = Context(task, self.shop, pause=self._pause, first_status_seconds=0.2, idle_seconds=2.0)
        return context

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        time.sleep(min(seconds, 0.02))

    def apply(self, name: str = "probe", protected: Any = None, **properties: Any) -> Outcome:
        said = {"publisher": PUBLISHER, "type": TYPE, **properties}
        hidden = {"protectedSettings": protected} if protected else {}
        return self.carry_out(self.task("apply", name, properties=said, protected=hidden))

    def script(self, name: str = "script", protected: Any = None, tag: str = "", **settings: Any) -> Outcome:
        return self.apply(
            name, protected, publisher="Microsoft.Azure.Extensions", type="CustomScript",
            typeHandlerVersion="2.1", settings=settings, forceUpdateTag=tag,
        )  # fmt: skip

    def remove(self, name: str = "probe") -> Outcome:
        return self.carry_out(self.task("remove", name))

    def upgrade(self, version: str = "", name: str = f"{PUBLISHER}.{TYPE}") -> Outcome:
        content = {"extensionTargets": {name: {"targetVersion": version} if version else {}}}
        return self.carry_out(self.task("upgradeExtensions", "", MACHINE, content=content))

    def carry_out(self, task: Task) -> Outcome:
        return carry_out_with(self.context(task), seconds=5)

    def record(self, name: str = "probe") -> Record:
        return Records(self.paths.extensions).get(name)

    def folder(self, version: str = "1.0") -> Path:
        return self.paths.extensions / f"{PUBLISHER}.{TYPE}-{version}"

    def calls(self) -> list[str]:
        """What the handler was called for, as ``operation version number name``."""
        log = self.shop.log
        return [line.strip() for line in log.read_text().splitlines()] if log.exists() else []

    def left(self) -> list[str]:
        """What lies in the folder of extensions, except what is always there."""
        usual = {".lock", ".records", ".downloads"}
        return sorted(path.name for path in self.paths.extensions.iterdir() if path.name not in usual)


def message(outcome: Outcome) -> str:
    """Return what the cloud would show."""
    return str(outcome.properties["instanceView"]["status"]["message"])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "calls.log")


@pytest.fixture
def host(tmp_path: Path, shop: Shop) -> Host:
    return Host(tmp_path / "root", shop)
