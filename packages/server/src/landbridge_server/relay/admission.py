"""Who may listen and who may send: what a token says, held against what the directory knows now."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from landbridge_server.relay import sas
from landbridge_server.relay.directory import RelayDirectory
from landbridge_server.relay.pending import Refusal
from landbridge_wire import hybrid_connections as wire


class Admission:
    """The gate of a relay. It counts nothing: how many may stand is the broker's to say.

    ``hosts`` are the names under which tokens may know this relay, lower case, without a
    port (empty: any). ``clock`` is unix time, for tokens.
    """

    def __init__(
        self, directory: RelayDirectory, master: bytes, clock: Callable[[], float], hosts: Collection[str]
    ) -> None:
        self._directory = directory
        self._master = master
        self._clock = clock
        self._hosts = frozenset(host.lower() for host in hosts)

    def of_listener(self, token: str, path: str) -> sas.Grant:
        """Verify a listener's token and that its machine is there.

        Raises:
            Refusal: 401, 403 or 404.
        """
        grant = self._verify(token, path)
        if not grant.listens or not self._directory.may_listen(path, grant.expires_on):
            raise Refusal(403, wire.UNAUTHORIZED_LISTEN)
        if self._directory.entity(path) is None:
            raise Refusal(404, self.not_there(path))
        return grant

    def of_renewal(self, token: str, path: str) -> sas.Grant:
        """Verify a token with which a standing listener prolongs its stay.

        Raises:
            Refusal: it is not a Listen token of this path, or the machine is gone.
        """
        grant = self._verify(token, path)
        standing = self._directory.entity(path) and self._directory.may_listen(path, grant.expires_on)
        if not standing or not grant.listens:
            raise Refusal(403, wire.UNAUTHORIZED_LISTEN)
        return grant

    def of_sender(self, token: str, path: str) -> str:
        """Verify a sender's token and return the sender's object id.

        Raises:
            Refusal: 401, 403 or 404.
        """
        who = self._verify(token, path).sender
        if who is None:
            raise Refusal(403, wire.UNAUTHORIZED_SEND)
        if self._directory.entity(path) is None:
            raise Refusal(404, self.not_there(path))
        if not self._directory.may_send(who, path):
            raise Refusal(403, wire.UNAUTHORIZED_SEND, who)
        return who

    def not_there(self, path: str, since: float | None = None) -> str:
        """Return the reason text of a 404 (contract B2), with what we know of the machine."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        tail = wire.tracking(f"{uuid.uuid4()}_G0", f"sb://{path}", now.isoformat(timespec="seconds")[:19])
        known = ""
        if since is not None:
            when = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")[:19]
            known = f" The machine is offline since {when}Z."
        return f"{wire.ENDPOINT_DOES_NOT_EXIST}{known} {tail}"

    def _verify(self, token: str, path: str) -> sas.Grant:
        try:
            return sas.verify(token, self._master, path, self._hosts, self._clock())
        except sas.SasError as error:
            raise Refusal(error.status, error.reason) from None
