"""A join code of the cloud's operator: where the machine goes, and the one sign-in that brings it there."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from typing import NamedTuple

from landbridge_agent.cli.flags import Values
from landbridge_agent.codes import AgentError

GRANT = "urn:landbridge:params:oauth:grant-type:join-code"
PLACE = {
    "tenantId": "tenant-id",
    "subscriptionId": "subscription-id",
    "resourceGroup": "resource-group",
    "location": "location",
}
"""What a code says besides its secret, and the flag that says it otherwise."""

MAX_CODE = 4096


class JoinCode(NamedTuple):
    """The secret of a code and the application that it is of."""

    client_id: str
    secret: str


def take(values: Values) -> None:
    """Replace ``--join-code -`` by what stdin holds, and set the flags that the code answers.

    Raises:
        AgentError: AZCM0023, it is none.
    """
    if not values.text("join-code"):
        return
    if values.text("join-code") == "-":
        values.texts["join-code"] = sys.stdin.readline(MAX_CODE).strip()
    content = _content(values.text("join-code"))
    for member, flag in PLACE.items():
        if not values.text(flag):
            values.texts[flag] = content.get(member, "")


def read(text: str) -> JoinCode:
    """Return what a code signs in with.

    Raises:
        AgentError: AZCM0023, it is none.
    """
    content = _content(text)
    return JoinCode(content["clientId"], content["secret"])


def _content(text: str) -> dict[str, str]:
    try:
        value = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    names = ("clientId", "secret", "tenantId")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in names):
        remedy = "Copy the whole line that 'landbridge join-code create' printed."
        raise AgentError(23, "--join-code is no code of a Landbridge cloud.", remedy)
    return {name: one for name, one in value.items() if isinstance(one, str)}
