"""Have an installed ``az`` trust this cloud.

Its root certificate goes to the certifi file of az's own Python, and ``core.instance_discovery``
is switched off where the sign-in style needs it. ``--undo`` takes both back. An upgrade of az
replaces the certifi file: run this again afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from landbridge_server.ca import trust_entry
from landbridge_server.cli.arguments import CommandError, add_action, add_data
from landbridge_server.cli.az_installation import Settings, certifi_file, find_python, replace_file

EXAMPLES = """examples:
  landbridge trust az --data /var/lib/landbridge
  landbridge trust az --ca-file landbridge-root.pem --label AzureStackSelfSignedRootCert
  landbridge trust az --python /opt/az/bin/python3 --undo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``az``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    az = add_action(actions, "az", "have the installed az trust this cloud", EXAMPLES)
    add_data(az)
    az.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="the root certificate (default: the one in DIR)"
    )
    az.add_argument(
        "--python", type=Path, metavar="PATH", help="az's own Python (default: that of the az on the PATH)"
    )
    az.add_argument("--label", default="", metavar="NAME", help="name of the root (default: its common name)")
    az.add_argument(
        "--identity-provider",
        choices=("aad", "adfs"),
        help="sign-in style of the cloud (default: as DIR/admin.json says, else aad)",
    )
    az.add_argument("--undo", action="store_true", help="take everything back")


def run(options: argparse.Namespace) -> int:
    """Add the root and the setting once, or take them back."""
    roots = _roots(options.ca_file or options.data / "ca" / "root.pem")
    bundle = certifi_file(find_python(options.python))
    settings = Settings(_az_folder())
    try:
        before = bundle.read_bytes()
    except OSError as error:
        raise CommandError(f"{bundle} cannot be read: {error.strerror}") from error
    after = _without(bundle, before, roots) if options.undo else _with(before, roots, options.label)
    if after != before:
        replace_file(bundle, after)
    print(f"{bundle}: {_said(options.undo, after != before)}")
    _discovery(options, settings)
    for root in roots:
        print(f"SHA-256 fingerprint of the root: {root.fingerprint(hashes.SHA256()).hex(':').upper()}")
    _warn_of_other_bundles()
    return 0


def _with(bundle: bytes, roots: list[x509.Certificate], label: str) -> bytes:
    """Return the bundle with all roots, each once; there are two while one takes the place of the other."""
    try:
        entries = [trust_entry.entry(root, label) for root in roots if not trust_entry.holds(bundle, root)]
    except trust_entry.LabelError as error:
        raise CommandError(str(error)) from error
    return bundle + b"".join(entries)


def _without(path: Path, bundle: bytes, roots: list[x509.Certificate]) -> bytes:
    for root in roots:
        after = trust_entry.without(bundle, root)
        if after == bundle and trust_entry.holds(bundle, root):
            raise CommandError(f"{path} has this root, but not from this command: remove it by hand.")
        bundle = after
    return bundle


def _said(undo: bool, changed: bool) -> str:
    if undo:
        return "the root is removed" if changed else "had no such root"
    return "the root is added" if changed else "has the root already"


def _discovery(options: argparse.Namespace, settings: Settings) -> None:
    if options.undo:
        if settings.restore():
            print(f"{settings.file}: core.instance_discovery is as it was")
    elif _style(options) == "aad" and settings.switch_off():
        print(f"{settings.file}: core.instance_discovery is false")


def _style(options: argparse.Namespace) -> str:
    if options.identity_provider:
        return str(options.identity_provider)
    try:
        admin = json.loads((options.data / "admin.json").read_text())
        return str(admin.get("identityProvider", "aad"))
    except (OSError, ValueError, AttributeError):
        return "aad"  # the setting does no harm where it is not needed


def _roots(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}). Is --data or --ca-file right?") from error


def _az_folder() -> Path:
    given = os.environ.get("AZURE_CONFIG_DIR")  # noqa: TID251 - where az itself looks
    return Path(given) if given else Path.home() / ".azure"


def _warn_of_other_bundles() -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name):  # noqa: TID251 - what az itself reads
            print(f"{name} is set: az reads that file instead. Unset it, or add the root there too.")
