"""Log files: their format, their bounds, their mode; and what never stands in them."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent import log_file
from landbridge_agent.daemon.log import Log
from landbridge_agent.log_file import KEPT, LogFile, line_of
from landbridge_agent.logline import log_line
from landbridge_agent.redaction import without_secrets

LINE = re.compile(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=[a-z]+ msg="[^\x00-\x1f\x7f]*"')


@given(st.text())
def test_any_message_is_one_line_in_the_originals_format(text):
    assert LINE.fullmatch(log_line(1_700_000_000, "info", text))


def test_a_message_cannot_steer_a_terminal_or_forge_a_line():
    line = log_line(0, "info", 'a"\nlevel=error \x1b[2J\u2028')
    assert line.endswith('msg="a\\"\\nlevel=error \\u001b[2J\\u2028"')


def test_a_file_is_its_owners_alone_and_stays_within_its_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(log_file, "MAX_BYTES", 1000)
    path = tmp_path / "himds.log"
    log = LogFile(path, lambda: 0.0)
    for number in range(200):
        log.write("info", f"line {number}")
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == ["himds.log", *(f"himds.log.{number}" for number in range(1, KEPT + 1))]
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in tmp_path.iterdir())
    assert all(one.stat().st_size <= 1000 for one in tmp_path.iterdir())
    assert "line 199" in path.read_text()
    whole = "".join((tmp_path / name).read_text() for name in (names[0], *names[1:])[::-1])
    numbers = [int(found) for found in re.findall(r"line (\d+)", whole)]
    assert numbers == list(range(numbers[0], 200))


def test_a_message_without_end_is_cut():
    assert len(line_of(0, "info", "x" * 100_000)) < 10_000


def test_a_folder_that_cannot_be_written_silences_the_file_only(tmp_path):
    stderr = io.StringIO()
    log = Log(tmp_path / "no" / "himds.log", stderr, lambda: 0.0)
    log.error("still said")
    assert "still said" in stderr.getvalue()


def test_debug_lines_are_left_out_unless_asked_for(tmp_path):
    for verbose in (False, True):
        stderr = io.StringIO()
        Log(tmp_path / "himds.log", stderr, lambda: 0.0, verbose).debug("detail")
        assert ("detail" in stderr.getvalue()) is verbose


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl",
        "Authorization: Bearer abcdefgh12345678",
        "Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "http://user:hush-hush@proxy:3128 refused",
        "http://us@er:hush-hush@proxy:3128 refused",
        "SharedAccessSignature sr=x&sig=hush%2Bhush&se=1",
        "grant_type=x&client_secret=hush-hush&scope=y",
        "client_assertion=hush-hush",
        "-----BEGIN PRIVATE KEY-----\nhush-hush\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nhush-hush",
    ],
)
def test_what_looks_like_a_secret_is_masked(secret):
    masked = without_secrets(f"before {secret} after")
    for hidden in ("hush", "c2lnbmF0dXJl", "abcdefgh12345678", "dXNlcjpwYXNzd29yZA"):
        assert hidden not in masked
    assert masked.startswith("before ")


def test_a_challenges_path_is_no_secret():
    text = "Basic realm=/var/opt/azcmagent/tokens/0123456789abcdef.key"
    assert without_secrets(text) == text


async def test_commands_are_recorded_without_the_values_of_their_flags(cloud, azcmagent):
    async with cloud.serving():
        ran = await azcmagent.connect()
        assert ran.code == 0, ran.err
        again = await azcmagent("connect", "-i", "x", "-p", "hush-hush", "-s", "s", "-g", "g", "-l", "other")
    log = azcmagent.paths.command_log
    text = log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "azcmagent connect ended with exit code 0" in text
    assert f"exit code {again.code}" in text or f"AZCM{again.code:04d}" in text
    assert "--service-principal-secret" in text
    assert "hush-hush" not in text and "s3cret" not in text
    assert all(LINE.fullmatch(line) for line in text.splitlines())


async def test_changes_of_the_local_configuration_are_recorded(azcmagent):
    await azcmagent("config", "set", "extensions.enabled", "true")  # makes the folder
    await azcmagent("config", "set", "proxy.url", "http://user:hush-hush@proxy:1")
    await azcmagent("config", "clear", "config.mode")
    await azcmagent("config", "set", "config.mode", "nonsense")
    await azcmagent("config", "list")
    text = azcmagent.paths.command_log.read_text()
    assert "Config property proxy.url set to value http://***@proxy:1" in text
    assert "Config property config.mode cleared" in text
    assert "AZCM0023" in text and "config list" not in text
    assert "hush-hush" not in text
