from __future__ import annotations

from landbridge_server.store.moves import CARRIED, STAYING, Place
from landbridge_server.store.schema import metadata

KEYS = {"resource_key", "machine_key", "target_key"}


def test_every_column_with_the_key_of_a_resource_is_carried_along_or_stays_on_purpose():
    known = {f"{column.table.name}.{column.name}" for column in CARRIED} | STAYING
    found = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name in KEYS
    }
    assert found == known


def test_an_id_below_a_moved_one_keeps_its_own_casing():
    place = Place(
        "/subscriptions/s/resourcegroups/a/providers/n/t/x",
        "/subscriptions/s/resourceGroups/B/providers/n/t/x",
    )
    below = "/subscriptions/s/RESOURCEGROUPS/a/providers/n/t/x/providers/M/Child/Y"
    assert place.rebased(below) == "/subscriptions/s/resourceGroups/B/providers/n/t/x/providers/M/Child/Y"
    assert place.rebased("/subscriptions/s/resourceGroups/a/providers/n/t/x") == place.new_id
