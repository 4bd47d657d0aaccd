"""Sign-ins as events of the activity log.

What is equal (who, with which program, how, from where, how it ended) is one event a minute with
a number. A machine signs in again and again for as long as it lives: it is noted when it does so for
the first time since the start, from another address, and then once a week with the number.
"""

from __future__ import annotations

from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import SIGN_IN, Who
from landbridge_server.identity.addresses import network_of
from landbridge_server.identity.sign_in_log import SignIn
from landbridge_server.store.principals import MANAGED_IDENTITY

ACTION = "Microsoft.aadiam/signIns/action"
MACHINE_SECONDS = 7 * 86400.0
MACHINES = 500_000
"""Machines that are remembered; beyond that all are noted anew."""


class SignInNotes:
    """Takes sign-ins as ``identity`` tells them."""

    def __init__(self, activity: Activity) -> None:
        """Write to ``activity``."""
        self.activity = activity
        self._machines: dict[str, tuple[str, float, int]] = {}

    def __call__(self, sign_in: SignIn) -> None:
        """Note one sign-in."""
        more = {
            "grantType": sign_in.grant,
            "clientAppId": sign_in.client_id,
            "principalType": sign_in.kind,
            "resource": sign_in.audience,
        }
        if sign_in.kind == MANAGED_IDENTITY and not sign_in.number:
            count = self._of_machine(sign_in)
            if not count:
                return
            more |= {"count": str(count)} if count > 1 else {}
        who = Who(sign_in.label, sign_in.object_id, sign_in.tenant_id, sign_in.client_id)
        asking = sign_in.asking
        # A stranger makes names up without end; their own address is harder to change.
        equal = (sign_in.number, sign_in.grant, network_of(asking.address))
        self.activity.happened(
            ACTION,
            f"/tenants/{sign_in.tenant_id}/providers/Microsoft.aadiam" if sign_in.tenant_id else "/",
            who,
            status=401 if sign_in.number else 200,
            error=(f"AADSTS{sign_in.number}", sign_in.text) if sign_in.number else None,
            address=asking.address,
            request_id=asking.request_id,
            correlation_id=asking.correlation_id,
            category=SIGN_IN,
            more={name: text for name, text in more.items() if text},
            equal=(*equal, sign_in.label, sign_in.client_id, sign_in.audience),
        )

    def _of_machine(self, sign_in: SignIn) -> int:
        """Return how many sign-ins of a machine to note now; 0: this one is only counted."""
        now, address = self.activity.clock(), sign_in.asking.address
        known = self._machines.get(sign_in.object_id)
        if known is not None and known[0] == address and now - known[1] < MACHINE_SECONDS:
            self._machines[sign_in.object_id] = (address, known[1], known[2] + 1)
            return 0
        if len(self._machines) >= MACHINES:
            self._machines.clear()
        self._machines[sign_in.object_id] = (address, now, 0)
        return 1 + (known[2] if known is not None else 0)
