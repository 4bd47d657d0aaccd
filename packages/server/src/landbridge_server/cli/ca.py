"""The certificate authority: export its roots, show it, and rotate it.

A rotation has three steps, and old and new root are trusted between the first and the last.
Servers and agents follow without a restart. Private keys are never printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from landbridge_server.ca import ownership, rotation
from landbridge_server.ca.authority import CaError, CertificateAuthority
from landbridge_server.ca.code_signing import CERTIFICATE
from landbridge_server.ca.rotation import Rotation
from landbridge_server.ca.trust_entry import common_name
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show,
)
from landbridge_server.cli.operator_notes import noted
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store.database import Connection

EXAMPLES = """examples:
  landbridge ca export > landbridge-root.pem
  landbridge ca export --format cer > landbridge-root.cer
  landbridge ca export --format fingerprint
  landbridge ca status -o json
  landbridge ca rotate --prepare --overlap-days 14
  landbridge ca rotate --activate
  landbridge ca rotate --finish
"""

SAID = {
    "prepare": "The next root is made, and handed out from now on. It takes over at {when}, "
    "or with: landbridge ca rotate --activate",
    "activate": "The next root issues from now on; the old one is still trusted. "
    "When no machine hangs on it any more: landbridge ca rotate --finish",
    "finish": "The old root is not trusted any more. Its private key may be destroyed.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``export``, ``status`` and ``rotate``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = add_action(actions, "export", "write the root certificates to standard output", EXAMPLES)
    add_data(export)
    export.add_argument(
        "--format",
        choices=("pem", "der", "cer", "fingerprint"),
        default="pem",
        help="default: pem; cer: DER, as Windows calls it, which holds one certificate",
    )
    export.add_argument(
        "--root",
        choices=("all", "current", "other"),
        help="which, during a rotation (default: all; in DER: current)",
    )
    status = add_action(
        actions,
        "status",
        "show roots, issuing certificates, the server's and the one that signs packages",
        EXAMPLES,
    )
    rotate = add_action(actions, "rotate", "replace the root, in three steps", EXAMPLES)
    steps = rotate.add_mutually_exclusive_group(required=True)
    steps.add_argument("--prepare", dest="step", action="store_const", const="prepare", help="make the next")
    steps.add_argument(
        "--activate", dest="step", action="store_const", const="activate", help="issue from it"
    )
    steps.add_argument("--finish", dest="step", action="store_const", const="finish", help="drop the old one")
    rotate.add_argument("--label", default="", metavar="NAME", help="name of the next root (default: ... G2)")
    rotate.add_argument(
        "--overlap-days",
        type=_days,
        default=rotation.OVERLAP_DAYS,
        metavar="N",
        help="activate by itself so long after --prepare (default: 7)",
    )
    rotate.add_argument("--force", action="store_true", help="finish although machines hang on the old root")
    for action in (status, rotate):
        add_data(action)
        add_store(action)
        add_output(action)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError("give a number of days up to 3650")
    return days


def run(options: argparse.Namespace) -> int:
    """Do one of them."""
    if options.action == "export":
        return _export(options)
    now = time.time()  # noqa: TID251 - this is the main()
    with opened_store(options) as db:
        if options.action == "rotate":
            seal = rotation.sealer(_relay_key(options.data))
            try:
                if options.step == "finish" and not options.force:
                    with db.reading() as connection:
                        rotation.may_finish(connection, now)
                with db.writing() as connection:
                    found = _step(connection, options, now)
                    root = ownership.fingerprint(x509.load_pem_x509_certificate(found.current.root.encode()))
                    noted(
                        connection,
                        options,
                        f"certificateAuthority/{options.step}",
                        root,
                        home_tenant(connection),
                    )
                rotation.follow(options.data / "ca", found, seal)
            except CaError as error:
                raise CommandError(str(error)) from error
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.activates_at))
            print(SAID[options.step].format(when=when), file=sys.stderr)
        with db.reading() as connection:
            show(_status(connection, options.data, now), options.output)
    return 0


def _step(connection: Connection, options: argparse.Namespace, now: float) -> Rotation:
    folder: Path = options.data / "ca"
    if options.step == "activate":
        return rotation.activate(connection, now)
    if options.step == "finish":
        return rotation.finish(connection)
    ownership.check(connection, options.data)
    authority = CertificateAuthority.open(folder, now)
    seal = rotation.sealer(_relay_key(options.data))
    return rotation.prepare(connection, folder, authority, seal, now, options.label, options.overlap_days)


def _relay_key(data: Path) -> bytes:
    try:
        return (data / "keys" / "relay.key").read_bytes()
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}. Is --data right?") from error


def _status(connection: Connection, data: Path, now: float) -> list[dict[str, Any]]:
    found = rotation.read(rotation.text(connection)) or _unrotated(data)
    hanging = rotation.hanging(connection, found, now)
    rows: list[dict[str, Any]] = []
    for one in found.authorities:
        root, issuing = (x509.load_pem_x509_certificate(pem.encode()) for pem in (one.root, one.issuing))
        rows.append(_row("root", one.state, root, ""))
        rows.append(_row("issuing", one.state, issuing, str(hanging[one.state])))
    for kind, path in (("server", data / "tls" / "server.pem"), ("signing", data / "ca" / CERTIFICATE)):
        if path.exists():
            rows.append(_row(kind, "", _certificates(path)[0], ""))
    return rows


def _unrotated(data: Path) -> Rotation:
    root, issuing = _certificates(data / "ca" / "root.pem")[0], data / "ca" / "issuing.pem"
    pem = root.public_bytes(serialization.Encoding.PEM).decode()
    _certificates(issuing)
    return Rotation([rotation.Authority(rotation.CURRENT, pem, issuing.read_text(), "")])


def _row(kind: str, state: str, certificate: x509.Certificate, machines: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "state": state,
        "label": common_name(certificate),
        "begins": f"{certificate.not_valid_before_utc:%Y-%m-%d}",
        "ends": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "machines": machines,
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    }


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}). Is --data right?") from error


def _export(options: argparse.Namespace) -> int:
    """Write certificates, or SHA-256 fingerprints, one a line."""
    roots = _certificates(options.data / "ca" / "root.pem")
    der = options.format in ("der", "cer")
    which = options.root or ("current" if der else "all")
    if which == "other" and len(roots) < 2:
        raise CommandError("This cloud has one root: no rotation is under way.")
    if which == "all" and der and len(roots) > 1:
        raise CommandError("A DER file holds one certificate: add --root current or --root other.")
    chosen = {"all": roots, "current": roots[:1], "other": roots[1:]}[which]
    if options.format == "fingerprint":
        for one in chosen:
            print(one.fingerprint(hashes.SHA256()).hex(":").upper())
        return 0
    encoding = serialization.Encoding.DER if der else serialization.Encoding.PEM
    for one in chosen:
        sys.stdout.buffer.write(one.public_bytes(encoding))
    sys.stdout.buffer.flush()
    return 0
