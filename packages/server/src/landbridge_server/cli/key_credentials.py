"""The certificates of service principals, as actions of ``landbridge sp``."""

from __future__ import annotations

import argparse
from pathlib import Path

from landbridge_server.cli.arguments import CommandError, add_action
from landbridge_server.identity import directory, key_credentials
from landbridge_server.identity.errors import Stamp
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Credential

ADD, LIST, REMOVE = "add-certificate", "list-certificates", "remove-certificate"

EXAMPLES = """examples:
  landbridge sp add-certificate deploy --certificate deploy.pem
  landbridge sp list-certificates deploy
  landbridge sp remove-certificate deploy --thumbprint 5F0E...9A
"""

Rows = list[dict[str, str]]


def add_arguments(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> list[argparse.ArgumentParser]:
    """Add the three actions and return their parsers."""
    add = add_action(actions, ADD, "let a service principal sign in with a certificate's key", EXAMPLES)
    add.add_argument(
        "--certificate",
        type=Path,
        required=True,
        metavar="FILE",
        help="X.509 certificate with an RSA key, PEM or DER; a private key in it is not read",
    )
    listing = add_action(actions, LIST, "list the certificates of a service principal", EXAMPLES)
    remove = add_action(actions, REMOVE, "take a certificate away", EXAMPLES)
    remove.add_argument(
        "--thumbprint", required=True, metavar="T", help="SHA-1 thumbprint (hex), x5t#S256 or key id"
    )
    return [add, listing, remove]


def run(connection: Connection, options: argparse.Namespace, now: float) -> Rows:
    """Do what the action says.

    Raises:
        CommandError: the file cannot be read.
        DirectoryError: the directory cannot do it.
    """
    app = directory.service_principal(connection, options.name)
    if options.action == LIST:
        return [_row(one) for one in key_credentials.certificates_of(connection, app)]
    if options.action == REMOVE:
        return [_row(key_credentials.remove(connection, app, options.thumbprint))]
    try:
        content = options.certificate.read_bytes()
    except OSError as error:
        raise CommandError(f"The certificate cannot be read: {error}") from error
    certificate = key_credentials.read_certificate(content)
    return [_row(key_credentials.add(connection, app, certificate, now))]


def _row(credential: Credential) -> dict[str, str]:
    return {
        "thumbprint": key_credentials.sha1_hex(credential),
        "subject": key_credentials.certificate_of(credential).subject.rfc4514_string(),
        "ends": Stamp(credential.expires_at or 0.0).text,
        "keyId": credential.credential_id,
    }
