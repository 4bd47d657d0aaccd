"""Export the root certificate that clients must trust. The private key is never printed."""

from __future__ import annotations

import argparse
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from landbridge_server.cli.arguments import CommandError, add_action, add_data

EXAMPLES = """examples:
  landbridge ca export > landbridge-root.pem
  landbridge ca export --format cer > landbridge-root.cer
  landbridge ca export --format fingerprint
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``export``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = add_action(actions, "export", "write the root certificate to standard output", EXAMPLES)
    add_data(export)
    export.add_argument(
        "--format",
        choices=("pem", "der", "cer", "fingerprint"),
        default="pem",
        help="default: pem; cer: DER, as Windows calls it",
    )


def run(options: argparse.Namespace) -> int:
    """Write the certificate, or its SHA-256 fingerprint."""
    path = options.data / "ca" / "root.pem"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}). Is --data right?") from error
    if options.format == "fingerprint":
        print(certificate.fingerprint(hashes.SHA256()).hex(":").upper())
        return 0
    encoding = serialization.Encoding.PEM if options.format == "pem" else serialization.Encoding.DER
    sys.stdout.buffer.write(certificate.public_bytes(encoding))
    sys.stdout.buffer.flush()
    return 0
