"""The queues of ``extd``: order, cancellation, and that nothing is ever begun twice."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal

from landbridge_agent.dial import Unreachable
from landbridge_agent.work import entry, journal, runner, tree
from landbridge_agent.work.interrupted import streams
from landbridge_wire.work_api import APPLY, CANCEL, EXTENSION, REMOVE, WorkReport


async def until(condition, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def is_running(place, item):
    return bool(tree.find(item.id)) and place.cloud.view(item).get("executionState") == "Running"


def mark(place):
    return place.paths.root / "mark"


def counting(place, rest=""):
    return f"echo ran >> {mark(place)}; {rest}"


def ran(place):
    return mark(place).read_text().count("ran") if mark(place).exists() else 0


async def test_the_same_item_again_and_again_is_one_run(place, work_cloud):
    item = work_cloud.run(counting(place, "sleep 0.3"))
    async with place.queues() as queues:
        for _ in range(3):
            queues.take([item])
            await asyncio.sleep(0.1)
        await work_cloud.ended(item)
        await until(lambda: not place.journal.entries())
        queues.take([item])  # an answer that was under way
        await asyncio.sleep(0.3)
    assert ran(place) == 1 and not place.journal.entries()


async def test_a_cloud_that_has_forgotten_the_end_hears_it_again_and_nothing_runs(place, work_cloud):
    item = work_cloud.run(counting(place))
    async with place.queues() as queues:
        queues.take([item])
        first = await work_cloud.ended(item)
        await until(lambda: not place.journal.entries())
        work_cloud.reports.clear()  # it was restored from a backup
        queues.take([item])
        assert await work_cloud.ended(item) == first
    assert ran(place) == 1


async def test_a_run_goes_on_while_the_queues_are_away_and_is_told_by_the_next(place, work_cloud):
    item = work_cloud.run(counting(place, "sleep 1; echo over"))
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: ran(place))
    assert tree.find(item.id)
    async with place.queues():
        report = await work_cloud.ended(item)
    assert report.properties["instanceView"]["output"] == "over\n" and ran(place) == 1


async def test_a_run_whose_worker_is_killed_fails_once_and_is_not_run_again(place, work_cloud):
    item = work_cloud.run(counting(place, "echo printed; setsid sleep 300 & sleep 300"))
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: work_cloud.streams.get((item.id, "stdout")) == b"printed\n")
        worker = place.journal.entries()[0].worker
        os.kill(worker, signal.SIGKILL)
        report = await work_cloud.ended(item)
    view = report.properties["instanceView"]
    assert view["executionState"] == "Failed" and "killed" in view["executionMessage"]
    assert view["output"] == "printed\n" and ran(place) == 1 and not tree.find(item.id)


async def test_a_machine_that_was_restarted_in_the_middle_says_so(place, work_cloud):
    item = work_cloud.run(counting(place, "sleep 300"))
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: is_running(place, item))
    which = place.journal.entries()[0]
    tree.kill(item.id)
    begun = json.loads((which.folder / entry.STARTED).read_text())
    entry.write(which.folder / entry.STARTED, json.dumps({**begun, "bootId": "of before"}).encode())
    async with place.queues():
        report = await work_cloud.ended(item)
    assert "restarted" in report.properties["instanceView"]["executionMessage"] and ran(place) == 1


async def test_what_was_accepted_and_not_begun_is_begun_by_the_next(place, work_cloud):
    item = work_cloud.run(counting(place))
    place.journal.add(item)
    async with place.queues():
        await work_cloud.ended(item)
    assert ran(place) == 1


async def test_two_runs_of_one_name_the_newer_ends_the_older(place, work_cloud):
    older = work_cloud.run("trap '' TERM; sleep 300", name="same")
    newer = work_cloud.run("echo newer", name="SAME")
    async with place.queues() as queues:
        queues.take([older])
        await until(lambda: is_running(place, older))
        queues.take([older, newer])
        ended = [await work_cloud.ended(one) for one in (older, newer)]
    states = [one.properties["instanceView"]["executionState"] for one in ended]
    assert states == ["Canceled", "Succeeded"] and not tree.find(older.id)
    assert "newer run" in ended[0].properties["instanceView"]["executionMessage"]


async def test_of_two_runs_that_come_together_only_the_newer_runs(place, work_cloud):
    older, newer = (work_cloud.run(counting(place), name="same") for _ in range(2))
    async with place.queues() as queues:
        queues.take([newer, older])
        assert (await work_cloud.ended(older)).errorCode == "OperationPreempted"
        assert (await work_cloud.ended(newer)).errorCode == ""
    assert ran(place) == 1


async def test_a_cancelled_run_is_dead_when_the_cancellation_has_ended(place, work_cloud):
    item = work_cloud.run("trap '' TERM; setsid sh -c 'sleep 300 & sleep 300' & echo here; sleep 300")
    cancel = work_cloud.item(CANCEL, item.name, content={"run": item.id})
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: is_running(place, item))
        queues.take([item, cancel])
        assert (await work_cloud.ended(cancel)).errorCode == ""
        view = (await work_cloud.ended(item)).properties["instanceView"]
    assert view["executionState"] == "Canceled" and view["output"] == "here\n" and not tree.find(item.id)


async def test_a_worker_that_does_not_obey_is_ended_with_what_it_runs(place, work_cloud):
    item = work_cloud.run("sleep 300")
    cancel = work_cloud.item(CANCEL, item.name, content={"run": item.id})
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: is_running(place, item))
        os.kill(place.journal.entries()[0].worker, signal.SIGSTOP)
        queues.take([cancel])
        await work_cloud.ended(cancel)
        view = (await work_cloud.ended(item)).properties["instanceView"]
    assert view["executionState"] == "Canceled" and not tree.find(item.id)


async def test_a_run_that_waits_for_its_turn_is_cancelled_without_having_run(place, work_cloud):
    busy = [work_cloud.run("sleep 300") for _ in range(runner.AT_ONCE)]
    item = work_cloud.run(counting(place))
    cancels = [work_cloud.item(CANCEL, one.name, content={"run": one.id}) for one in (item, *busy)]
    async with place.queues() as queues:
        queues.take([*busy, item])
        await until(lambda: all(is_running(place, one) for one in busy))
        queues.take(cancels[:1])
        report = await work_cloud.ended(item)
        assert report.errorCode == "OperationPreempted" and not ran(place)
        queues.take(cancels[1:])
        for one in busy:
            await work_cloud.ended(one)


async def test_what_has_ended_cannot_be_cancelled_and_that_is_said(place, work_cloud):
    item = work_cloud.run("true")
    async with place.queues() as queues:
        queues.take([item])
        await work_cloud.ended(item)
        cancel = work_cloud.item(CANCEL, item.name, content={"run": item.id})
        queues.take([cancel])
        assert (await work_cloud.ended(cancel)).errorCode == "OperationNotAllowed"


async def test_a_removal_ends_the_run_and_takes_its_files(place, work_cloud):
    item = work_cloud.run("sleep 300", name="gone")
    remove = work_cloud.item(REMOVE, "gone")
    again = work_cloud.run("echo again", name="gone")
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: is_running(place, item))
        queues.take([remove, again])
        assert (await work_cloud.ended(remove)).errorCode == ""
        view = (await work_cloud.ended(item)).properties["instanceView"]
        assert view["executionState"] == "Canceled" and not tree.find(item.id)
        await work_cloud.ended(again)
    assert not streams(place.paths, item)["stdout"].exists()
    assert work_cloud.view(again)["output"] == "again\n" and streams(place.paths, again)["stdout"].exists()


async def test_what_happens_while_the_cloud_is_away_is_told_when_it_is_back(place, work_cloud):
    item = work_cloud.run("echo meanwhile")
    async with place.queues() as queues:
        queues.take([item])
        work_cloud.is_away = True
        which = place.journal.entries()[0]
        await until(lambda: which.result is not None)
        await asyncio.sleep(0.3)
        assert work_cloud.end(item) is None and place.journal.entries()
        work_cloud.is_away = False
        queues.poke()
        await work_cloud.ended(item)
    assert work_cloud.streams[item.id, "stdout"] == b"meanwhile\n"


async def test_what_this_agent_does_not_know_is_refused(place, work_cloud):
    items = [
        work_cloud.item("dance", "r1"),
        work_cloud.item(APPLY, "l1", "microsoft.hybridcompute/machines/licenseprofiles"),
    ]
    async with place.queues() as queues:
        queues.take(items)
        for item in items:
            assert (await work_cloud.ended(item)).errorCode == "OperationNotAllowed"


async def test_an_id_that_leads_elsewhere_is_not_written_anywhere(place, work_cloud):
    item = work_cloud.run(counting(place))
    items = [item.__class__(**{**item.to_json(), "id": wrong}) for wrong in ("../../x", "", "a/b", "..")]
    async with place.queues() as queues:
        queues.take(items)
        await asyncio.sleep(0.3)
    assert not ran(place) and not place.journal.entries()


async def test_a_full_disk_delays_what_is_asked_and_loses_nothing(place, work_cloud, monkeypatch):
    item = work_cloud.run(counting(place))

    def full(path, content):
        raise OSError(28, "No space left on device")

    async with place.queues() as queues:
        with monkeypatch.context() as patch:
            patch.setattr(journal.entry, "write", full)
            queues.take([item])
            await asyncio.sleep(0.1)
        assert "cannot be noted" in place.log and not ran(place)
        queues.take([item])  # as the cloud says again
        await work_cloud.ended(item)
    assert ran(place) == 1


async def test_extensions_are_one_queue_in_the_order_in_which_they_were_asked(place, work_cloud):
    def custom(number, script):
        settings = {"commandToExecute": script}
        names = {
            "publisher": "Microsoft.Azure.Extensions",
            "type": "CustomScript",
            "typeHandlerVersion": "2.1",
        }
        return work_cloud.item(APPLY, "custom", EXTENSION, properties={**names, "settings": settings})

    first = custom(1, f"sleep 0.5; echo first >> {mark(place)}")
    second = custom(2, f"echo second >> {mark(place)}")
    async with place.queues() as queues:
        queues.take([second, first])
        for one in (first, second):
            assert (await work_cloud.ended(one)).errorCode == "", work_cloud.end(one)
    assert mark(place).read_text() == "first\nsecond\n"


async def test_another_machines_work_is_ended_and_forgotten(place, work_cloud):
    item = work_cloud.run("sleep 300")
    async with place.queues() as queues:
        queues.take([item])
        await until(lambda: is_running(place, item))
    assert runner.drop(place.journal, place.paths) == 1
    assert not tree.find(item.id) and not place.journal.entries()
    assert not (place.paths.run_commands / "download").exists()
    ended = place.journal.ended(item.id)
    assert ended is not None and ended.errorCode == "OperationPreempted"


def test_a_kill_between_the_last_note_and_the_removal_leaves_nothing_to_begin(place, work_cloud):
    which = place.journal.add(work_cloud.run("true"))
    entry.write_once(which.folder / entry.STARTED, b"{}")
    copy = place.paths.root / "copy"
    shutil.copytree(which.folder, copy)
    place.journal.end(which, WorkReport({}, True))
    (copy / entry.STARTED).unlink()
    copy.rename(which.folder)  # as rmtree leaves it when it is killed
    assert place.journal.entries() == [] and place.journal.add(which.item) is None


def test_an_entry_that_cannot_be_read_is_never_begun_again(place, work_cloud):
    which = place.journal.add(work_cloud.run("true"))
    entry.write_once(which.folder / entry.STARTED, b"{}")
    (which.folder / entry.ITEM).write_text("{")
    assert place.journal.entries() == []
    ended = place.journal.ended(which.item.id)
    assert ended is not None and ended.errorCode and place.journal.add(which.item) is None


def test_only_so_much_is_remembered(place, work_cloud, monkeypatch):
    monkeypatch.setattr(journal, "KEPT", 10)
    for _ in range(30):
        place.journal.end(place.journal.add(work_cloud.run("true")), WorkReport({}, True))
    assert len(list((place.paths.work / "ended").iterdir())) <= 11


async def test_how_a_replaced_run_ended_is_told_before_how_the_newer_did(place, work_cloud):
    """Told after it, it would be taken for how the newest run ended."""
    older = work_cloud.run("trap '' TERM; sleep 300", name="same")
    newer = work_cloud.run("echo newer", name="same")
    order, refused, report = [], [], work_cloud.report

    async def breaking(work_id, said):
        if said.ended and work_id == older.id and not refused:
            refused.append(work_id)
            raise Unreachable("The connection broke.")
        if said.ended:
            order.append(work_id)
        await report(work_id, said)

    work_cloud.report = breaking
    async with place.queues() as queues:
        queues.take([older])
        await until(lambda: is_running(place, older))
        queues.take([older, newer])
        for one in (older, newer):
            await work_cloud.ended(one)
    assert refused and order == [older.id, newer.id]
