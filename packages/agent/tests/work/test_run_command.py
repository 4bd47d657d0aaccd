"""Run commands in true workers: parameters, accounts, output, addresses, and what cannot be started."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import pwd
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from landbridge_agent.proxies import NO_PROXY
from landbridge_agent.work import download, entry, run_command, worker
from landbridge_agent.work.interrupted import streams
from landbridge_agent.work.processes import Limits
from landbridge_agent.work.task import Task
from landbridge_wire.work_api import OUTPUT_LIMIT

SECRET = "hunter2-and-more"


async def carried_out(place, item):
    """Have one item carried out; return its last report and its view."""
    async with place.queues() as queues:
        queues.take([item])
        report = await place.cloud.ended(item)
    return report, place.cloud.view(item)


async def test_named_parameters_are_variables_and_others_arguments(place, work_cloud):
    parameters = [{"name": "COLOUR", "value": "red; blue"}, {"name": "", "value": "a b"}, {"value": "c"}]
    item = work_cloud.run('echo "$COLOUR|$1|$2|$#"', parameters=parameters)
    _, view = await carried_out(place, item)
    assert view["output"] == "red; blue|a b|c|2\n" and view["executionState"] == "Succeeded"
    assert view["exitCode"] == 0 and view["startTime"] <= view["endTime"]


async def test_protected_parameters_reach_the_script_and_nothing_else(place, work_cloud):
    protected = {"protectedParameters": [{"name": "PASSWORD", "value": SECRET}, {"value": SECRET}]}
    script = 'tr "\\0" " " < /proc/$PPID/cmdline; test "$PASSWORD" = "$1" && echo same'
    item = work_cloud.run(script, protected=protected)
    _, view = await carried_out(place, item)
    assert view["output"].endswith("same\n") and SECRET not in view["output"]
    assert SECRET not in place.log
    left = [path for path in place.paths.root.rglob("*") if path.is_file()]
    assert left and not [path for path in left if SECRET.encode() in path.read_bytes()]


async def test_a_script_gets_nothing_of_the_agents_environment(place, work_cloud):
    _, view = await carried_out(place, work_cloud.run("env"))
    assert "SECRET_OF_AGENT" not in view["output"] and "PATH=" in view["output"]


async def test_files_lie_where_the_contract_has_them_with_its_modes(place, work_cloud):
    item = work_cloud.run("echo out", name="here")
    await carried_out(place, item)
    folder = place.paths.root / f"var/lib/waagent/run-command-handler/download/here/{item.sequence}"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"script.sh": 0o500, "stdout": 0o600, "stderr": 0o600}


async def test_a_script_in_another_language_is_run_by_what_its_first_line_names(place, work_cloud):
    item = work_cloud.run("#!/usr/bin/env python3\r\nimport sys\r\nprint('python', len(sys.argv))\r\n")
    _, view = await carried_out(place, item)
    assert view["output"] == "python 1\n"


async def test_a_script_that_fails_is_no_failure_of_the_item(place, work_cloud):
    report, view = await carried_out(place, work_cloud.run("echo why >&2; exit 7"))
    assert report.errorCode == "" and (view["executionState"], view["exitCode"]) == ("Failed", 7)
    assert view["error"] == "why\n" and "exit code 7" in view["executionMessage"]


async def test_a_script_that_a_signal_ends_says_which(place, work_cloud):
    _, view = await carried_out(place, work_cloud.run("kill -KILL $$"))
    assert (view["executionState"], view["exitCode"]) == ("Failed", 137)
    assert "SIGKILL" in view["executionMessage"]


async def test_output_arrives_whole_and_what_is_no_text_is_replaced_in_the_tail(place, work_cloud):
    item = work_cloud.run("head -c 1000000 /dev/urandom; printf '\\xff\\xfe end\\n'")
    _, view = await carried_out(place, item)
    sent = work_cloud.streams[item.id, "stdout"]
    assert len(sent) == 1_000_007 and sent == streams(place.paths, item)["stdout"].read_bytes()
    assert view["output"].endswith("\ufffd\ufffd end\n")


async def test_a_gigabyte_costs_neither_disk_nor_memory_and_the_loss_is_told(place, work_cloud):
    # What counts is where it stops: the rest goes the same way, however much follows.
    item = work_cloud.run(f"head -c {OUTPUT_LIMIT + 5_000_000} /dev/zero | tr '\\0' x; echo; echo end")
    _, view = await carried_out(place, item)
    assert view["output"].endswith("x\nend\n") and view["executionState"] == "Succeeded"
    assert "5000005 bytes of its output are not kept" in view["executionMessage"]
    assert len(work_cloud.streams[item.id, "stdout"]) == OUTPUT_LIMIT
    assert streams(place.paths, item)["stdout"].stat().st_size < OUTPUT_LIMIT + 1024


async def test_a_command_id_is_refused_in_words(place, work_cloud):
    item = work_cloud.run("")
    item.properties["source"] = {"commandId": "RunPowerShellScript"}
    report, view = await carried_out(place, item)
    assert report.errorCode == "OperationNotAllowed" and "RunPowerShellScript" in report.errorMessage
    assert view["executionState"] == "Failed"


async def test_an_unknown_user_is_told(place, work_cloud):
    report, view = await carried_out(place, work_cloud.run("id", runAsUser="nobody-like-this"))
    assert "no user 'nobody-like-this'" in report.errorMessage
    assert (view["executionState"], view["exitCode"]) == ("Failed", -102)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_account_runs_it_without_a_password_and_without_our_rights(place, work_cloud):
    item = work_cloud.run("id -un; id -G; umask; cat $0; echo; echo $HOME $1", runAsUser="nobody")
    item.properties["parameters"] = [{"value": "argument"}]
    item.protected["runAsPassword"] = SECRET
    _, view = await carried_out(place, item)
    account = pwd.getpwnam("nobody")
    name, groups, *rest = view["output"].splitlines()
    assert name == "nobody" and "0" not in groups.split()
    assert rest[-1] == f"{account.pw_dir} argument" and rest[1].startswith("id -un"), view
    assert SECRET not in place.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_account_can_run_a_script_with_an_interpreter_of_its_own(place, work_cloud):
    script = "#!/bin/sh\nid -un; cat /proc/self/status | grep -c 'CapEff:.*0000000000000000'"
    _, view = await carried_out(place, work_cloud.run(script, runAsUser="nobody"))
    assert view["output"] == "nobody\n1\n"


async def test_what_the_machine_does_not_allow_names_the_rule(place, work_cloud):
    blocked = ["Microsoft.CPlat.Core/RunCommandHandlerLinux"]
    place.machine.save_local_settings({"extensions.blocklist": blocked})
    item = work_cloud.run("touch ran")
    report, _ = await carried_out(place, item)
    assert report.errorCode == "OperationNotAllowed" and "extensions.blocklist" in report.errorMessage


async def test_a_damaged_local_configuration_allows_nothing(place, work_cloud):
    place.paths.local_config.write_text("{")
    report, _ = await carried_out(place, work_cloud.run("touch ran"))
    assert "local configuration" in report.errorMessage


async def test_a_name_that_leads_elsewhere_is_refused(place, work_cloud):
    item = work_cloud.run("echo no", name="..")
    report, _ = await carried_out(place, item)
    assert report.errorCode and not (place.paths.run_commands / "script.sh").exists()


# -- addresses -------------------------------------------------------------------------------------


class Storage(http.server.BaseHTTPRequestHandler):
    """Scripts to fetch, and append blobs."""

    asked: ClassVar[list[str]] = []
    blobs: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/nonsense"):
            self.wfile.write(b"NONSENSE\r\n\r\n")
            return
        body = {"/script.sh?sig=abc": b"echo fetched", "/large?sig=abc": b"#" * 17 * 1024 * 1024}.get(
            self.path
        )
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        try:
            self.wfile.write(body or b"")
        except ConnectionError:
            pass

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        path, _, query = self.path.partition("?")
        status = 201 if "sig=abc" in query else 403
        if status == 201 and self.headers.get("x-ms-blob-type") == "AppendBlob":
            self.blobs[path] = b""
        elif status == 201 and "comp=appendblock" in query:
            self.blobs[path] += data
            if path == "/nonsense":
                self.wfile.write(b"NONSENSE\r\n\r\n")
                return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def storage() -> Iterator[str]:
    Storage.asked, Storage.blobs = [], {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetching(work_cloud, uri, **more):
    item = work_cloud.run("", **more)
    item.properties["source"] = {"scriptUri": uri}
    return item


@pytest.fixture
def connected(place):
    names = {name: "x" for name in ("resourceId", "endpoint", "tokenEndpoint", "principalId", "clientId")}
    known = {**names, "endpoint": "https://cloud.test", "tokenEndpoint": "https://cloud.test/t"}

    place.paths.agent_config.write_text(json.dumps(known))
    return place


async def test_a_script_is_fetched_from_its_address(connected, work_cloud, storage):
    _, view = await carried_out(connected, fetching(work_cloud, f"{storage}/script.sh?sig=abc"))
    assert view["output"] == "fetched\n"


@pytest.mark.parametrize(("path", "why"), [("/gone?sig=abc", "404"), ("/large?sig=abc", "larger than")])
async def test_a_script_that_cannot_be_fetched_fails_without_its_signature(
    connected, work_cloud, storage, path, why
):
    report, view = await carried_out(connected, fetching(work_cloud, storage + path))
    assert why in report.errorMessage and "sig=abc" not in report.errorMessage
    assert (view["executionState"], view["exitCode"]) == ("Failed", -100)


async def test_output_goes_into_append_blobs(connected, work_cloud, storage):
    item = work_cloud.run(
        "echo out; echo err >&2",
        outputBlobUri=f"{storage}/c/out?sig=abc",
        errorBlobUri=f"{storage}/c/err?sig=abc",
    )
    _, view = await carried_out(connected, item)
    assert Storage.blobs == {"/c/out": b"out\n", "/c/err": b"err\n"} and view["executionState"] == "Succeeded"


async def test_a_blob_that_cannot_be_written_keeps_the_script_from_running(connected, work_cloud, storage):
    mark = connected.paths.root / "ran"
    item = work_cloud.run(f"touch {mark}", outputBlobUri=f"{storage}/c/out?sig=wrong")
    report, view = await carried_out(connected, item)
    assert "403" in report.errorMessage and "wrong" not in report.errorMessage and view["exitCode"] == -101
    await asyncio.sleep(0.1)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("path", "why"), [("/nonsense?sig=abc", "BadStatusLine"), ("/a b?sig=abc", "InvalidURL")]
)
async def test_an_answer_or_an_address_that_is_none_is_no_defect(
    connected, work_cloud, storage, path, why, monkeypatch
):
    monkeypatch.setattr(download, "PAUSES", ())
    with pytest.raises(download.DownloadFailed, match=why) as failed:
        way = ssl.create_default_context()
        download.fetch(storage + path, 1000, NO_PROXY, way)
    assert "sig=abc" not in str(failed.value)


async def test_a_blob_that_fails_after_the_script_has_run_costs_nothing_of_its_result(
    connected, work_cloud, storage
):
    item = work_cloud.run("echo out; exit 3", outputBlobUri=f"{storage}/nonsense?sig=abc")
    report, view = await carried_out(connected, item)
    assert not report.errorCode and (view["exitCode"], view["output"]) == (3, "out\n")
    assert "could not be written: BadStatusLine" in view["executionMessage"]


async def test_a_disk_that_fills_up_while_a_script_runs_does_not_end_it(place, work_cloud, monkeypatch):
    """What is seen of it cannot be noted for a while: that is all."""
    folder = place.paths.work / "entry"
    folder.mkdir(mode=0o700)
    task = Task(
        work_cloud.run("sleep 7; echo done"), place.paths, folder, {}, Limits(), {"PATH": "/usr/bin:/bin"},
        time.time,
    )  # fmt: skip
    whole = entry.write

    def full(path, content):
        if path.name in (entry.OBSERVED, run_command.PRINTED):
            raise OSError(28, "No space left on device")
        whole(path, content)

    monkeypatch.setattr(entry, "write", full)
    outcome = await asyncio.to_thread(run_command.carry_out, task)
    assert not outcome.failed
    assert outcome.properties["instanceView"]["executionState"] == "Succeeded"


async def test_how_a_script_ended_is_noted_once_the_full_disk_has_room_again(place, work_cloud, monkeypatch):
    item, folder = work_cloud.run("echo done"), place.paths.work / "entry"
    folder.mkdir(mode=0o700)
    entry.write(folder / entry.ITEM, json.dumps(item.to_json()).encode())
    once, refused = entry.write_once, []

    def full_at_first(path, content):
        if path.name == entry.RESULT and len(refused) < 2:
            refused.append(path)
            raise OSError(28, "No space left on device")
        return once(path, content)

    monkeypatch.setattr(entry, "write_once", full_at_first)
    monkeypatch.setattr(worker, "RESULT_PAUSE", 0.0)
    environment = {"PATH": "/usr/bin:/bin"}
    assert await asyncio.to_thread(worker.work, folder, place.paths, environment, time.time) == 0
    said = entry.read_object(folder / entry.RESULT)
    assert len(refused) == 2 and said["properties"]["instanceView"]["executionState"] == "Succeeded"
