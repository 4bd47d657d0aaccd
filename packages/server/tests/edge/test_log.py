"""Each line of the log is one JSON object that says who asked what from where, and holds no secret."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings

import pytest

from landbridge_server.edge import log

PASSWORD = "not-the-password-of-anybody"


@pytest.fixture
def written(monkeypatch):
    """What the log has written, in the format that was asked for; the process' own hooks come back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, log._installed[:]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    for client in ("httpx", "httpcore"):
        monkeypatch.setattr(logging.getLogger(client), "level", logging.WARNING)

    def begin(level="debug", form=log.JSON):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        log.configure(level, form)
        return stream

    yield begin
    root.handlers[:], log._installed[:] = before[0], before[2]
    root.setLevel(before[1])
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(False)


def lines(stream):
    """Return all lines; each must be a JSON object."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(isinstance(line, dict) and {"time", "level", "event"} <= line.keys() for line in found)
    return found


async def test_a_request_says_who_asked_what_from_where_and_under_which_ids(written, cloud, arm):
    await arm.group()
    stream = written()
    headers = {"x-ms-correlation-request-id": "corr-1"}
    answer = await arm("GET", "resourcegroups/demo?secret=query", headers=headers)
    await asyncio.sleep(0)
    (line,) = [one for one in lines(stream) if one["event"] == "request"]
    assert line["correlationId"] == "corr-1"
    assert line["requestId"] == answer.headers["x-ms-request-id"]
    assert (line["method"], line["status"], line["address"]) == ("GET", 200, "127.0.0.1")
    assert line["path"] == f"{cloud.subscription}/resourcegroups/demo"
    assert line["principal"] == cloud.admin["clientId"]
    assert line["caller"]
    assert "secret" not in stream.getvalue()


async def test_no_secret_is_logged_whatever_goes_wrong(written, cloud, arm):
    stream = written()
    token = await cloud.token()
    form = {
        "grant_type": "password",
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "username": cloud.admin["userName"],
        "password": PASSWORD,
        "scope": f"{cloud.config.endpoints.audience}/.default",
    }
    await cloud.client.post("/organizations/oauth2/v2.0/token", data=form)
    await cloud.client.post("/organizations/oauth2/v2.0/token?password=" + PASSWORD, content=PASSWORD)
    await cloud.client.get("/subscriptions?token=" + token, headers={"authorization": f"Basic {token}"})
    await cloud.client.get("/subscriptions", headers={"authorization": f"Bearer {token}x"})
    await arm.group()
    await arm.machine()
    extension = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1/extensions/one"
    for protected in ({"key": PASSWORD}, PASSWORD):
        properties = {"publisher": "p", "type": "t", "protectedSettings": protected}
        await arm("PUT", extension, {"location": "local", "properties": properties})
    await asyncio.sleep(0)
    assert len([one for one in lines(stream) if one["event"] == "request"]) >= 6
    for secret in (PASSWORD, token, cloud.admin["clientSecret"], cloud.admin["password"]):
        assert secret not in stream.getvalue()


async def test_a_failure_of_ours_is_one_line_with_its_traceback_and_ids(written, cloud, monkeypatch):
    async def broken(request):
        logging.getLogger("landbridge").warning("on the way")
        raise RuntimeError("first\nsecond")

    stream = written()
    healthz = next(
        route for route in cloud.plane.application.router.others.routes if route.path == "/healthz"
    )
    monkeypatch.setitem(healthz.app.methods.__getitem__("GET").__dict__, "handler", broken)
    answer = await cloud.client.get("/healthz", headers={"x-ms-correlation-request-id": "corr-2"})
    assert answer.status_code == 500
    await asyncio.sleep(0)
    warned, failed, request = [one for one in lines(stream) if one.get("correlationId") == "corr-2"]
    assert (warned["event"], warned["address"]) == ("on the way", "127.0.0.1")
    assert "RuntimeError: first\nsecond" in failed["error"]
    assert (request["status"], request["level"]) == (500, "warning")


def test_what_libraries_loops_threads_and_finalizers_say_is_json_too(written):
    stream = written()
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.\nwith a second line")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("take care", UserWarning, stacklevel=1)

    class Finalized:
        def __del__(self):
            raise ValueError("in a finalizer")

    def fail():
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    made = Finalized()
    del made
    gc.collect()
    sys.excepthook(ValueError, ValueError("at the end"), None)
    text = json.dumps(lines(stream))
    for said in (
        "second line",
        "never retrieved",
        "take care",
        "in a thread",
        "in a finalizer",
        "at the end",
    ):
        assert said in text


async def test_what_the_loop_has_nobody_to_tell_of_is_json(written):
    stream = written()
    loop = asyncio.get_running_loop()
    log.log_loop_failure(loop, {"message": "odd", "exception": ValueError("why")})
    log.log_loop_failure(loop, {"message": "reset", "exception": ConnectionResetError()})
    odd, reset = lines(stream)
    assert (odd["level"], odd["reason"]) == ("error", "odd")
    assert (reset["level"], reset["kind"]) == ("debug", "ConnectionResetError")


async def test_text_is_a_line_for_people(written, cloud, arm):
    stream = written("info", log.TEXT)
    await arm("GET", "resourcegroups/no such group")
    logging.getLogger("landbridge").warning("odd", extra={"fields": {"reason": 'a "quoted"\nreason'}})
    await asyncio.sleep(0)
    *_, request, odd = stream.getvalue().splitlines()
    assert " INFO    request requestId=" in request
    assert " status=404 " in request
    assert 'path="' in request  # it has blanks
    assert odd.endswith('reason="a \\"quoted\\"\\nreason"')


def test_a_level_leaves_out_what_is_below_it(written):
    stream = written("warning")
    logging.getLogger("landbridge").info("not this")
    logging.getLogger("landbridge").warning("but this")
    assert [one["event"] for one in lines(stream)] == ["but this"]
