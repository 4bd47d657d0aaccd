from __future__ import annotations

import pytest

from landbridge_server.store import machines
from landbridge_server.store.database import Database
from landbridge_server.store.machines import Certificate, Seen


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        machines.create(opened, "m1", "p1", "vm1")
        yield opened
    db.close()


def certificate(serial: str, not_after: float, principal: str = "p1") -> Certificate:
    return Certificate(serial, principal, f"t{serial}", "PEM", 0.0, not_after, None)


def test_a_new_machine_has_not_enrolled(connection):
    assert machines.get(connection, "m1") == ("m1", "p1", "vm1", None, "{}", "", None)
    assert machines.by_principal(connection, "p1").machine_key == "m1"
    assert machines.get(connection, "other") is None


def test_a_certificate_is_found_by_its_thumbprint(connection):
    machines.add_certificate(connection, certificate("1", 100.0))
    assert machines.certificate_by_thumbprint(connection, "t1").serial == "1"
    assert machines.certificate_by_thumbprint(connection, "none") is None


def test_the_newest_certificate_decides_when_a_machine_expires(connection):
    for serial, end in (("1", 100.0), ("2", 300.0), ("3", 200.0)):
        machines.add_certificate(connection, certificate(serial, end))
    assert machines.newest_certificate(connection, "p1").serial == "2"
    assert machines.expiries(connection) == {"m1": 300.0}


def test_old_certificates_are_pruned(connection):
    for index in range(6):
        machines.add_certificate(connection, certificate(str(index), 100.0 + index))
    machines.prune_certificates(connection, "p1", now=104.5, keep=3)
    assert [machines.certificate_by_thumbprint(connection, f"t{i}") is not None for i in range(6)] == [
        False, False, False, False, False, True,
    ]  # fmt: skip


def test_removing_a_machine_removes_its_certificates_and_presence(connection):
    machines.add_certificate(connection, certificate("1", 100.0))
    machines.save_seen(connection, [Seen("m1", 1.0, None, 1.0, "v")])
    machines.remove(connection, "m1")
    assert machines.get(connection, "m1") is None
    assert machines.certificate_by_thumbprint(connection, "t1") is None
    assert machines.all_seen(connection) == []


def test_a_late_flush_does_not_bring_back_a_removed_machine(connection):
    machines.remove(connection, "m1")
    machines.save_seen(connection, [Seen("m1", 1.0, None, 1.0, "v")])
    assert machines.all_seen(connection) == []


def test_presence_is_replaced_by_newer_presence(connection):
    machines.save_seen(connection, [Seen("m1", 1.0, None, 1.0, "v")])
    machines.save_seen(connection, [Seen("m1", 2.0, 3.0, 1.0, "w")])
    assert machines.all_seen(connection) == [Seen("m1", 2.0, 3.0, 1.0, "w")]


def test_facts_and_enrolment_are_kept(connection):
    machines.set_facts(connection, "m1", '{"a":1}', "digest")
    machines.set_enrolled(connection, "m1", 5.0)
    assert machines.get(connection, "m1") == ("m1", "p1", "vm1", 5.0, '{"a":1}', "digest", None)
    assert machines.facts_of(connection, ["m1", "x"]) == {"m1": '{"a":1}'}
