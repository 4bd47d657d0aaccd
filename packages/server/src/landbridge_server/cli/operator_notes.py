"""What an operator changes with ``landbridge`` goes into the activity log, in the same transaction.

The chain is sealed with the cloud's key. Where ``--data`` has no keys, as on a host that only
reaches the database, the change is made, is not noted, and that is said on standard error.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from landbridge_server.arm.event_documents import Happened, Who, event
from landbridge_server.ca.keyring import open_secret
from landbridge_server.cli.arguments import CommandError
from landbridge_server.reconcile.flush_activity import read_head
from landbridge_server.store import event_chain
from landbridge_server.store.database import Connection
from landbridge_server.store.event_chain import Seal


def seal_of(data: Path) -> Seal | None:
    """Return the seal of a folder's cloud; nothing where it has no keys.

    Raises:
        CommandError: the key cannot be read.
    """
    key = data / "keys" / "relay.key"
    try:
        return Seal(open_secret(key)) if key.exists() else None
    except (OSError, ValueError) as error:
        raise CommandError(f"{key} cannot be read: {error}") from error


def noted(
    connection: Connection,
    options: argparse.Namespace,
    what: str,
    target: str,
    tenant_id: str,
    more: Mapping[str, str] | None = None,
) -> None:
    """Note a change: ``what`` is such as ``users/create``, ``target`` whom or what it changed.

    ``more`` is shown as it is: never a secret. Call it within the transaction of the change.

    Raises:
        CommandError: the key or the file with the chain's end cannot be read.
    """
    seal = seal_of(options.data)
    if seal is None:
        print(
            f"landbridge: there are no keys in {options.data}: this is not in the activity log.",
            file=sys.stderr,
        )
        return
    now = time.time()  # noqa: TID251 - called by commands, which are a main()
    own_id = str(uuid.uuid4())
    happened = Happened(
        now,
        "POST",
        f"/providers/Landbridge/{what.partition('/')[0]}/{target}",
        Who(f"operator:{_operator()}", tenant_id=tenant_id),
        own_id,
        own_id,
        "",
        200,
        None,
        "local",
        f"Landbridge/{what}/action",
        more={"target": target, **(more or {})},
    )
    try:
        known = read_head(options.data)
    except ValueError as error:
        raise CommandError(str(error)) from error
    _, amiss = event_chain.append(connection, seal, [event(happened)], known, now)
    for text in amiss:
        print(f"landbridge: the activity log was tampered with: {text}.", file=sys.stderr)


def _operator() -> str:
    """Return the account that runs this command, as the kernel knows it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
