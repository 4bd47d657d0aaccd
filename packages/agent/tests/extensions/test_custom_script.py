"""CustomScript is an extension like any other: its handler is a real process of this agent."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from landbridge_agent.extensions import script_settings

FOLDER = "Microsoft.Azure.Extensions.CustomScript-2.1.13"


def said(outcome) -> str:
    return str(outcome.properties["instanceView"]["status"]["message"])


def run_place(host, number=0):
    return host.paths.extensions / f"custom-script/download/{number}"


def encoded(script: str | bytes) -> str:
    return base64.b64encode(script.encode() if isinstance(script, str) else script).decode()


@pytest.fixture
def files():
    """A web server that gives out ``server.content`` by path; whatever is not there is 404."""

    class Files(BaseHTTPRequestHandler):
        def do_GET(self):
            content = self.server.content.get(self.path.partition("?")[0])
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Files) as server:
        server.content = {}
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_command_runs_in_its_folder_and_its_output_is_the_message(host):
    outcome = host.script(commandToExecute="echo hello; echo oh >&2; pwd")
    assert outcome.error_code == "" and host.left()[0] == FOLDER
    assert said(outcome) == (
        f"Extension Message: Enable succeeded: \n[stdout]\nhello\n{run_place(host)}\n\n[stderr]\noh\n"
    )


def test_a_failing_command_fails_the_extension_with_its_output(host):
    outcome = host.script(commandToExecute="echo almost; echo no disk >&2; exit 5")
    assert outcome.error_code == "HCRP400"
    assert outcome.error_message == (
        "Extension returned non-zero exit code for Enable: 3. Enable failed: failed to execute command: "
        "command terminated with exit status=5\n[stdout]\nalmost\n\n[stderr]\nno disk\n"
    )


def test_the_same_settings_run_once_and_a_new_tag_or_timestamp_runs_again(host, tmp_path):
    count = tmp_path / "count"
    command = f"echo x >> '{count}'"
    for words in ({}, {}, {"tag": "2"}, {"tag": "2"}, {"tag": "2", "timestamp": 7}):
        assert host.script(commandToExecute=command, **words).error_code == ""
    assert count.read_text() == "x\nx\nx\n"


def test_a_command_may_be_protected_and_is_in_no_argument_and_no_file(host):
    outcome = host.script(
        protected={
            "commandToExecute": "tr '\\0' ' ' < /proc/$$/cmdline; echo; : hunter2; [ -z $LANDBRIDGE_COMMAND ]"
        }
    )
    assert outcome.error_code == ""
    assert "hunter2" not in said(outcome) and 'eval "$command"' in said(outcome)
    for path in host.paths.extensions.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


@pytest.mark.parametrize("pack", [lambda text: text, lambda text: gzip.compress(text)])
def test_a_script_is_base64_of_it_or_of_it_gzipped(host, pack):
    script = b'#!/bin/bash\r\necho "I am ${BASH_VERSION:+bash}"\r\n'
    assert "I am bash\n" in said(host.script(script=encoded(pack(script))))


def test_a_script_without_a_first_line_has_the_shell(host):
    assert "plain\n" in said(host.script(script=encoded("echo plain\n")))


def test_line_ends_of_dos_stay_where_that_is_asked_for(host):
    outcome = host.script(script=encoded("printf 'a\r\n' | wc -c\n"), skipDos2Unix=True)
    assert "[stdout]\n3\n" in said(outcome)


def test_files_are_downloaded_beside_the_command(host, files):
    files.content = {"/a/run.sh": b"#!/bin/sh\r\necho ran $1\r\n", "/data.bin": b"\x00\r\n"}
    outcome = host.script(
        fileUris=[f"{files.url}/a/run.sh?sig=SECRET"],
        protected={"fileUris": [f"{files.url}/data.bin"], "commandToExecute": "./run.sh $(wc -c < data.bin)"},
    )
    assert "ran 3\n" in said(outcome)


def test_a_file_that_cannot_be_had_fails_without_showing_its_signature(host, files):
    outcome = host.script(fileUris=[f"{files.url}/no.sh?sig=SECRET"], commandToExecute="true")
    assert "no.sh could not be downloaded: HTTP 404" in outcome.error_message
    assert "SECRET" not in outcome.error_message


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "http://", "http://h/..", "http://h/a%2F..", "x"]
)
def test_other_urls_are_refused(host, url):
    outcome = host.script(fileUris=[url], commandToExecute="true")
    assert "invalid configuration" in outcome.error_message or "failed to download" in outcome.error_message


@pytest.mark.parametrize(
    ("settings", "protected", "text"),
    [
        ({}, {}, "and neither was"),
        ({"commandToExecute": "a", "script": "YQ=="}, {}, "and both was"),
        ({"commandToExecute": "a"}, {"commandToExecute": "b"}, "in both settings and protectedSettings"),
        ({"commandToExecute": "a"}, {"script": "YQ=="}, "and both was"),
        ({"commandToExecute": ["a"]}, {}, "must be text"),
        ({"script": "no base64!"}, {}, "is not base64"),
        ({"script": encoded(gzip.compress(bytes(300_000)))}, {}, "1 to 262144 bytes"),
        ({"script": encoded(gzip.compress(b"x" * 999)[:-9])}, {}, "gzip that"),
        ({"script": "A" * 400_000}, {}, "more than 262144 bytes"),
        (
            {"commandToExecute": "a"},
            {"storageAccountName": "s", "storageAccountKey": "k"},
            "is not supported",
        ),
        ({"commandToExecute": "a"}, {"managedIdentity": {"clientId": "c"}}, "is not supported"),
        ({"commandToExecute": "a", "fileUris": "x"}, {}, "must be a list"),
        ({"commandToExecute": "a", "skipDos2Unix": "yes"}, {}, "must be true or false"),
        ({"comandToExecute": "a"}, {}, "knows no setting 'comandtoexecute'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, protected, text):
    with pytest.raises(script_settings.BadSettings, match=text):
        script_settings.read(settings, protected)


def test_refused_settings_fail_the_extension_with_the_reason(host):
    outcome = host.script(
        protected={"managedIdentity": {}, "storageAccountName": "s", "commandToExecute": "true"}
    )
    assert (
        "Enable failed: invalid configuration: 'storageaccountname' is not supported" in outcome.error_message
    )


def test_only_the_last_four_kilobytes_of_each_stream_are_shown_and_invalid_utf_8_is_text(host):
    outcome = host.script(commandToExecute="yes é | head -c 100000; printf '\\377\\376end\\000'")
    text = said(outcome).partition("[stdout]\n")[2].partition("\n[stderr]")[0]
    assert len(text.encode("utf-8")) <= 4096 + 16 and text.endswith("\ufffd\ufffdend\ufffd")


def test_what_a_command_starts_in_the_background_goes_on(host, tmp_path):
    marker = tmp_path / "marker"
    outcome = host.script(commandToExecute=f"(sleep 1.5; echo late > '{marker}') >/dev/null 2>&1 &")
    assert outcome.error_code == ""
    import time

    until = time.monotonic() + 20
    while not marker.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert marker.read_text() == "late\n"


def test_removal_takes_the_runs_with_it(host):
    host.script(commandToExecute="true")
    assert host.remove("script").error_code == ""
    assert host.left() == []


def test_another_version_than_the_built_in_one_is_asked_of_the_cloud(host):
    task = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "typeHandlerVersion": "3.0"}
    assert host.apply("script", **task).error_message.startswith("ExtensionNotFound")


def test_an_interpreter_that_moved_is_named_anew_before_anything_is_run(host):
    host.script(commandToExecute="true")
    manifest = host.paths.extensions / FOLDER / "HandlerManifest.json"
    manifest.write_text(manifest.read_text().replace("python", "python-of-before"))
    assert host.remove("script").error_code == "" and host.left() == []


def test_another_identity_of_the_machine_has_its_scripts_run_again(host, tmp_path):
    count = tmp_path / "count"
    config = {"resourceId": "/r", "endpoint": "https://e", "tokenEndpoint": "https://t"}
    host.paths.agent_config.parent.mkdir(parents=True)
    for principal in ("one", "one", "two"):
        host.paths.agent_config.write_text(json.dumps({**config, "principalId": principal}))
        assert host.script(commandToExecute=f"echo x >> '{count}'").error_code == ""
    assert count.read_text() == "x\nx\n"
