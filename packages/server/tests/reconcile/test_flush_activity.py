"""Several nodes write one chain; what the store did not take is written later; the end is in a file."""

from __future__ import annotations

import asyncio
import json

import pytest

from landbridge_server.arm.activity import Activity
from landbridge_server.arm.chain_check import checked
from landbridge_server.arm.event_documents import Who
from landbridge_server.reconcile.flush_activity import HEAD_FILE, FlushActivity, read_head
from landbridge_server.store import events
from landbridge_server.store.database import Database
from landbridge_server.store.event_chain import BEGINNING, Seal
from landbridge_server.testing import HandClock

SEAL = Seal(b"k" * 32)
WHO = Who("anna", "oid", "tid", "app")


class Node:
    """What one node has of the activity log."""

    def __init__(self, url, folder):
        folder.mkdir()
        self.folder = folder
        self.db = Database(url)
        self.activity = Activity(HandClock())
        self.flush = FlushActivity(self.db, self.activity, HandClock(), SEAL, folder)

    def note(self, number):
        self.activity.happened("Test/things/write", f"/things/{number}", WHO)


@pytest.fixture
def nodes(store_url, tmp_path):
    made = [Node(store_url, tmp_path / name) for name in ("one", "two")]
    yield made
    for node in made:
        node.db.close()


def report(node, *known):
    with node.db.reading() as connection:
        return checked(connection, SEAL, known)


async def test_two_nodes_make_one_chain(nodes):
    for round_number in range(5):
        for node in nodes:
            for number in range(30):
                node.note(round_number * 30 + number)
        await asyncio.gather(*(node.flush() for node in nodes))
    heads = [read_head(node.folder) for node in nodes]
    seen = report(nodes[0], *heads)
    assert (seen.whole, seen.records) == (True, 300), seen.findings
    assert seen.head in heads


async def test_a_batch_whose_answer_was_lost_is_not_written_twice(nodes):
    node = nodes[0]
    node.note(1)
    await node.flush()
    node.flush._unwritten = [row.event for row in events_of(node)]  # as after a commit that nobody heard of
    await node.flush()
    assert (report(node).whole, report(node).records) == (True, 1)


def events_of(node):
    with node.db.reading() as connection:
        return events.chain(connection, 0, 100)


async def test_the_file_names_the_end_and_a_new_folder_none(nodes, tmp_path):
    node = nodes[0]
    assert read_head(node.folder) == BEGINNING
    node.note(1)
    await node.flush()
    head = read_head(node.folder)
    assert head == report(node).head
    assert json.loads((node.folder / HEAD_FILE).read_text()) == [head.sequence, head.hash]
    assert (node.folder / HEAD_FILE).stat().st_mode & 0o077 == 0


async def test_a_node_with_an_old_file_goes_on(nodes):
    one, two = nodes
    one.note(1)
    await one.flush()
    for number in range(3):
        two.note(number)
        await two.flush()
    one.note(2)
    await one.flush()
    assert report(one, read_head(one.folder), read_head(two.folder)).whole
