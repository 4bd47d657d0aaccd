"""A connect that cannot work says why, with its code, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from quickstart.ports import find_free
from running import GROUP, PROGRAMS, Agent, ControlPlane

TOP_SECRET = "not-the-secret-of-anyone"


def left_behind(agent: Agent) -> list[str]:
    """Files that a connect would leave: configuration, keys, certificates."""
    state = agent.root / "var/opt/azcmagent"
    return [str(path) for path in state.rglob("*.json") if path.name != "localconfig.json"] + [
        str(path) for path in state.rglob("*.pem")
    ]


def assert_refused(agent: Agent, done: subprocess.CompletedProcess[str], code: int) -> None:
    assert done.returncode == code, done.stdout
    assert f"AZCM{code:04d}" in done.stdout
    assert "Traceback" not in done.stdout
    assert left_behind(agent) == []
    assert agent.cloud.machine(agent.name).status == 404


def test_a_wrong_secret(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("wrong-secret")
    done = agent.connect(config=agent.credentials(secret=TOP_SECRET))
    assert_refused(agent, done, 41)
    assert TOP_SECRET not in done.stdout


def test_a_cloud_that_cannot_be_reached(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("nowhere")
    url = f"https://127.0.0.1:{find_free()}"
    done = agent.connect("--cloud", url)
    assert_refused(agent, done, 26)
    assert url in done.stdout or url.removeprefix("https://") in done.stdout


def test_a_certificate_that_is_not_trusted(make_agent: Callable[[str], Agent], tmp_path: Path) -> None:
    agent = make_agent("untrusting")
    other = tmp_path / "other.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    argv += ["-subj", "/CN=another authority", "-days", "2", "-keyout", "/dev/null", "-out", str(other)]
    subprocess.run(argv, check=True, capture_output=True)
    done = agent.connect("--ca-file", other)
    assert_refused(agent, done, 26)
    assert "certificate" in done.stdout.lower()


def test_a_name_that_is_taken(cloud: ControlPlane, make_agent: Callable[[str], Agent]) -> None:
    first, second = make_agent("popular"), make_agent("popular")
    assert first.connect().returncode == 0
    before = cloud.machine("popular").body
    done = second.connect()
    assert done.returncode == 44, done.stdout
    assert "AZCM0044" in done.stdout
    assert left_behind(second) == []
    assert cloud.machine("popular").body["identity"] == before["identity"]  # the first is untouched


def test_missing_parameters_are_all_named(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("forgetful")
    done = agent.run("connect", "--resource-group", GROUP, "--cloud", agent.cloud.admin.url)
    assert_refused(agent, done, 16)
    assert "--subscription-id" in done.stdout
    assert "--location" in done.stdout


def test_a_refusal_in_json_is_json(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("machine-readable")
    done = subprocess.run(
        [PROGRAMS / "azcmagent", "connect", "--json", "--resource-group", GROUP],
        env=agent.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 16
    assert json.loads(done.stdout)["errorCode"] == "AZCM0016"


def test_a_location_that_does_not_exist(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("mars")
    done = agent.connect("--location", "mars")
    assert done.returncode != 0
    assert "LocationNotAvailableForResourceType" in done.stdout or "location" in done.stdout.lower()
    assert left_behind(agent) == []
