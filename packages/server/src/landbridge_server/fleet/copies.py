"""Copies of a machine: two computers, or two processes, that come with one state folder.

The one that is established keeps the identity, the other is refused:

1. the first computer that a machine's agent comes from is remembered by its fingerprint; one with
   another fingerprint is a copy, whether or not the first is there;
2. while a process of the agent listens and answers, another process is a copy; one that does not
   answer within ``ANSWER_SECONDS`` has gone, by a power cut for example, and is replaced.

``azcmagent reconnect`` with a sign-in gives the machine to the computer that it is run on. What is
remembered of processes is this node's alone, and ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from landbridge_server.store import machines
from landbridge_server.store.database import Database
from landbridge_wire.agent_api import SessionRequest
from landbridge_wire.errors import ArmError

ANSWER_SECONDS = 3.0
SHOWN_SECONDS = 900.0
"""How long a machine is shown as cloned after its copy was last refused."""

HINT = (
    "Give this copy an identity of its own: 'azcmagent disconnect --force-local-only', then "
    "'azcmagent connect' with another name. If the machine itself was moved to this computer: "
    "'azcmagent reconnect' with a sign-in."
)


class Copies:
    """Decides who may hold a machine's session. Belongs to one event loop."""

    def __init__(
        self, db: Database, answers: Callable[[str, float], Awaitable[bool]], clock: Callable[[], float]
    ) -> None:
        """Take who knows whether the listener at a path answers within some seconds."""
        self.db = db
        self.answers = answers
        self.clock = clock
        self._instances: dict[str, str] = {}
        self._refused: dict[str, float] = {}
        self._asked: dict[str, asyncio.Future[bool]] = {}

    async def check(self, machine_key: str, path: str, request: SessionRequest) -> None:
        """Let the established agent of a machine in, and nobody else.

        Raises:
            ArmError: MachineCloned.
        """
        row = self.check_computer(machine_key, request.fingerprint)
        known = row.fingerprint if row else None
        before = self._instances.get(path, request.instance)
        if request.instance and before != request.instance and await self._answers(path):
            raise self._refusal(machine_key, "Another agent is connected with this machine's identity.")
        if request.instance:
            self._instances[path] = request.instance
        if row is not None and not known and request.fingerprint:
            await self.db.write(
                lambda connection: machines.set_fingerprint(connection, machine_key, request.fingerprint)
            )

    def check_computer(self, machine_key: str, fingerprint: str) -> machines.Machine | None:
        """Return the row of a machine that is on the computer with this fingerprint; empty: on any.

        Raises:
            ArmError: MachineCloned; it is on another one.
        """
        row = self.db.read(lambda connection: machines.get(connection, machine_key))
        if row is not None and row.fingerprint and fingerprint and row.fingerprint != fingerprint:
            raise self._refusal(
                machine_key, "This computer is not the one that the machine was connected on."
            )
        return row

    async def _answers(self, path: str) -> bool:
        """Ask once, however many processes come meanwhile: a machine must not have us ask without end."""
        asked = self._asked.get(path)
        if asked is None:
            asked = asyncio.ensure_future(self.answers(path, ANSWER_SECONDS))
            self._asked[path] = asked
            asked.add_done_callback(lambda _: self._asked.pop(path, None))
        return await asyncio.shield(asked)

    def cloned(self, machine_key: str) -> bool:
        """Say whether a copy of the machine was refused lately."""
        at = self._refused.get(machine_key)
        return at is not None and self.clock() - at < SHOWN_SECONDS

    def forget(self, machine_key: str, path: str) -> None:
        """Drop what is remembered of a machine that is gone, or has a new key."""
        self._refused.pop(machine_key, None)
        self._instances.pop(path, None)

    def _refusal(self, machine_key: str, what: str) -> ArmError:
        self._refused[machine_key] = self.clock()
        return ArmError("MachineCloned", f"{what} It looks like a copy. {HINT}")
