"""Sessions at the relay, SSH above all, as events of the activity log: opened, ended, refused."""

from __future__ import annotations

from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import Who
from landbridge_server.fleet.rendezvous import Rendezvous
from landbridge_server.identity.addresses import network_of
from landbridge_server.relay.sessions import ENDED, OPENED, REFUSED, SessionNews
from landbridge_server.store import principals, resources
from landbridge_server.store.database import Connection, Database, StoreUnavailable

ACTIONS = {
    OPENED: "Microsoft.HybridConnectivity/endpoints/connect/action",
    ENDED: "Microsoft.HybridConnectivity/endpoints/disconnect/action",
    REFUSED: "Microsoft.HybridConnectivity/endpoints/connect/action",
}


class SessionNotes:
    """Takes news as ``relay`` tells it. What was refused again and again is counted."""

    def __init__(self, db: Database, rendezvous: Rendezvous, activity: Activity) -> None:
        """Look names up in ``db`` and write to ``activity``."""
        self.db = db
        self.rendezvous = rendezvous
        self.activity = activity

    def __call__(self, news: SessionNews) -> None:
        """Note one piece of news."""
        who, resource = self._named(news)
        refused = news.what == REFUSED
        more = {"trackingId": news.id}
        if news.what == ENDED:
            more |= {"seconds": f"{news.seconds:.0f}", "bytes": str(news.bytes)}
        self.activity.happened(
            ACTIONS[news.what],
            resource,
            who,
            status=news.status if refused else 200,
            error=("ConnectionRefused", news.reason) if refused else None,
            address=news.address,
            correlation_id=news.id,
            more=more,
            equal=(news.status, network_of(news.address)) if refused else None,
        )

    def _named(self, news: SessionNews) -> tuple[Who, str]:
        """Return who connects to what; a stranger, and what they made up, stay without a name."""
        if not news.who:
            return Who(), "/"
        try:
            key = self.rendezvous.machine_key(news.path) or ""
            return self.db.read(lambda connection: _looked_up(connection, news.who, key))
        except StoreUnavailable:
            return Who(object_id=news.who), "/"


def _looked_up(connection: Connection, object_id: str, machine_key: str) -> tuple[Who, str]:
    sender = principals.get(connection, object_id)
    machine = resources.get(connection, machine_key) if machine_key else None
    who = (
        Who(sender.label, object_id, sender.tenant_id, sender.app_id or "")
        if sender
        else Who(object_id=object_id)
    )
    if machine is None:
        return who, "/"
    return who, f"{machine.resource_id}/providers/Microsoft.HybridConnectivity/endpoints/default"
