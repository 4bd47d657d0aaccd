from __future__ import annotations

from landbridge_server.store import tenants
from landbridge_server.store.database import Database
from landbridge_server.store.tenants import Tenant


def test_a_tenant_goes_by_id_and_domain_and_the_oldest_comes_first(store_url):
    db = Database(store_url)
    young, old = Tenant("aaaa", "Young", "young.example", 2.0), Tenant("bbbb", "Old", "Old.Example", 1.0)
    with db.writing() as connection:
        tenants.add(connection, young)
        tenants.add(connection, old)
        assert tenants.named(connection, "AAAA") == young
        assert tenants.named(connection, "OLD.example") == old
        assert tenants.named(connection, "none.example") is None
        assert tenants.everyone(connection) == [old, young]
    db.close()
