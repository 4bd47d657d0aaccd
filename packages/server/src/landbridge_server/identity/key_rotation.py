"""Which keys sign tokens, in what state, for every node: next, current and previous.

A cloud begins with the key that its first start made. *prepare* publishes the next one, so that
who keeps a copy of the JWKS knows it before it signs; *rotate* has it sign (and makes it, where
none was prepared); the one before verifies until every token that it signed has ended. *withdraw*
ends the previous ones at once: tokens that they signed are refused from then on.

The store holds the truth, sealed with the cloud's relay key as in ``ca.sealing``. Every node looks
often, and at once when a token names a key that it does not know.
"""

from __future__ import annotations

import msgspec

from landbridge_server.ca.sealing import PurposeSealer
from landbridge_server.identity.keys import Held, new_key
from landbridge_server.store import settings
from landbridge_server.store.database import Connection

SETTING = "signing_keys"
PURPOSE = b"landbridge.signing-keys"
DAY = 86400.0
LONGEST_TOKEN = 24 * 3600.0 + 600.0
"""Seconds that a token lives at most, and some more: so long a previous key verifies."""

AHEAD_DAYS = 7.0
"""So long before a scheduled rotation the next key is published."""

NEXT, CURRENT, PREVIOUS = "next", "current", "previous"


class RotationError(Exception):
    """The keys cannot be changed so; the text says why and what to do."""


class Key(msgspec.Struct):
    """A key; ``pem`` is sealed. ``since``: in this state since (unix seconds)."""

    key_id: str
    state: str
    pem: str
    since: float


def sealer(relay_key: bytes) -> PurposeSealer:
    """Return what seals the keys."""
    return PurposeSealer(relay_key, PURPOSE)


def text(connection: Connection) -> str:
    """Return the stored form; empty where no key was ever rotated."""
    return settings.get(connection, SETTING) or ""


def read(stored: str) -> list[Key]:
    """Return what ``text`` holds."""
    return msgspec.json.decode(stored or "[]", type=list[Key])


def opened(keys: list[Key], seal: PurposeSealer) -> list[Held]:
    """Return keys as ``SigningKeys`` takes them.

    Raises:
        Unreadable: another cloud has sealed them.
    """
    return [Held(key.state, str(seal.open(key.pem)).encode()) for key in keys]


def adopt(connection: Connection, held: list[Held], seal: PurposeSealer, now: float) -> list[Key]:
    """Return the stored keys; where there are none, write down those of the folder: the last one signs."""
    known = read(text(connection))
    if known:
        return known
    states = [PREVIOUS] * (len(held) - 1) + [CURRENT]
    keys = [_sealed(one.pem, state, seal, now) for one, state in zip(held, states, strict=True)]
    return _put(connection, keys)


def _sealed(pem: bytes, state: str, seal: PurposeSealer, now: float) -> Key:
    return Key(Held(state, pem).key_id, state, seal.seal(pem.decode()), now)


def _put(connection: Connection, keys: list[Key]) -> list[Key]:
    settings.put(connection, SETTING, msgspec.json.encode(keys).decode())
    return keys


def _one(keys: list[Key], state: str) -> Key | None:
    return next((key for key in keys if key.state == state), None)


def prepare(connection: Connection, seal: PurposeSealer, now: float) -> list[Key]:
    """Publish the next key.

    Raises:
        RotationError: there is one.
    """
    keys = read(text(connection))
    if _one(keys, NEXT):
        raise RotationError("A next key is published already. It signs with: landbridge keys rotate")
    keys.append(_sealed(new_key(), NEXT, seal, now))
    return _put(connection, keys)


def rotate(connection: Connection, seal: PurposeSealer, now: float, *, anew: bool = False) -> list[Key]:
    """Have the next key sign; the current one only verifies.

    ``anew``: the published one does not sign but goes, too. Who has read one may have read both.
    """
    keys = [key for key in read(text(connection)) if not (anew and key.state == NEXT)]
    for key in keys:
        if key.state == CURRENT:
            key.state, key.since = PREVIOUS, now
    coming = _one(keys, NEXT)
    if coming is None:
        coming = _sealed(new_key(), NEXT, seal, now)
        keys.append(coming)
    coming.state, coming.since = CURRENT, now
    return _put(connection, keys)


def withdraw(connection: Connection) -> list[Key]:
    """Refuse what the previous keys have signed.

    Raises:
        RotationError: there is none.
    """
    keys = read(text(connection))
    if not _one(keys, PREVIOUS):
        raise RotationError("There is no previous key. First: landbridge keys rotate")
    return _put(connection, [key for key in keys if key.state != PREVIOUS])


def tend(connection: Connection, seal: PurposeSealer, now: float, period_days: float) -> None:
    """Publish ahead, rotate each ``period_days`` (0: never), and drop what has ended, each in its time."""
    keys = read(text(connection))
    kept = [key for key in keys if key.state != PREVIOUS or now < key.since + LONGEST_TOKEN]
    if len(kept) != len(keys):
        keys = _put(connection, kept)
    current = _one(keys, CURRENT)
    if current is None or period_days <= 0:
        return
    left = current.since + period_days * DAY - now
    if left <= 0:
        rotate(connection, seal, now)
    elif left <= min(AHEAD_DAYS, period_days / 2) * DAY and _one(keys, NEXT) is None:
        prepare(connection, seal, now)


def wants_tending(keys: list[Key], now: float, period_days: float) -> bool:
    """Say whether ``tend`` would have something to do: looked at often, written seldom."""
    if any(key.state == PREVIOUS and now >= key.since + LONGEST_TOKEN for key in keys):
        return True
    current = _one(keys, CURRENT)
    if current is None or period_days <= 0:
        return False
    left = current.since + period_days * DAY - now
    return left <= 0 or (left <= min(AHEAD_DAYS, period_days / 2) * DAY and _one(keys, NEXT) is None)
