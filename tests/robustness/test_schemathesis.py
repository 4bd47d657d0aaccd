"""schemathesis against a control plane with true TLS: whatever is sent, no 5xx, no hang.

What comes back with a declared status is also held against the declared content type and
schema. Not asked: whether invalid data is refused (ARM ignores members that it does not know),
and whether every status is declared (documents without ``default`` declare no errors at all).
The routes of ``x-ms-paths`` are not seen by schemathesis.
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import CLONE, ENVIRONMENT, ControlPlane, short_folder
from tests.conformance import openapi, scope

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(600)]

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
FIXED_SEED, SOAK_SEEDS = 1, (2, 3, 4)
NEWEST = (
    "Microsoft.HybridCompute/2024-07-10/HybridCompute.json",
    "Microsoft.HybridConnectivity/2023-03-15/hybridconnectivity.json",
    "Microsoft.GuestConfiguration/2022-01-25/guestconfiguration.json",
    "Microsoft.Authorization/2016-09-01/locks.json",
    "Microsoft.Authorization/2022-04-01/authorization-RoleAssignmentsCalls.json",
    "Microsoft.Resources/2022-09-01/resources.json",
)
"""The documents of the larger providers: what every run looks at; the soak suite takes all."""
CRASH_SCHEMATHESIS = ("Microsoft.Resources/",)
"""Documents on which the coverage phase of schemathesis itself ends with a KeyError."""
REQUEST_SECONDS = 10
MACHINE = {"location": "local", "properties": {"locationData": {"name": "Redmond"}}}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with the group and the machine that the pinned parameters name."""
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


def write_settings(plane: ControlPlane, folder: Path, version: str) -> None:
    """Write schemathesis.toml: where, as whom, and what is pinned so that requests get somewhere."""
    words = {
        "api-version": version,
        "subscriptionId": plane.admin.subscription,
        "resourceGroupName": "robust",
        "machineName": "web1",
    }
    lines = [
        f'base-url = "{plane.admin.url}"',
        f'tls-verify = "{plane.admin.ca_file}"',
        f"request-timeout = {REQUEST_SECONDS}.0",
        'headers = { Authorization = "Bearer ${LANDBRIDGE_TOKEN}" }',
        "workers = 1",  # with more, CPython 3.11 may fail in ast.parse, which schemathesis uses
        "[parameters]",
        *(f'"{name}" = "{value}"' for name, value in words.items()),
    ]
    (folder / "schemathesis.toml").write_text("\n".join(lines) + "\n")


def run(
    plane: ControlPlane, document: Path, version: str, folder: Path, seed: int, examples: int, phases: str
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on one document."""
    program = CLONE / ".cache/schemathesis/bin/st"
    assert program.exists(), "Run tools/client_environments.sh first, as ./test does."
    group = f"{plane.subscription}/resourceGroups/robust"
    plane.arm("PUT", group, {"location": "local"})
    plane.arm("PUT", f"{group}/providers/Microsoft.HybridCompute/machines/web1", MACHINE, "2024-07-10")
    write_settings(plane, folder, version)
    token = plane.token(plane.admin.client_id, plane.admin.client_secret)
    argv: list[str | Path] = [program, "--no-color", "run", document, "--checks", CHECKS]
    argv += ["--phases", phases, "--max-examples", str(examples), "--seed", str(seed)]
    argv += ["--exclude-operation-id-regex", scope.LEFT_OUT.pattern]
    argv += ["--continue-on-failure", "--no-shrink", "--generation-database", "none", "--warnings", "off"]
    return subprocess.run(
        argv,
        cwd=folder,
        env={**ENVIRONMENT, "LANDBRIDGE_TOKEN": token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )


def written(document: openapi.Document, folder: Path) -> Path:
    """Write a document as schemathesis should understand it; return the path.

    Schemas are those that the conformance suite checks against, so that what holds for
    Microsoft's own service holds here (``openapi.normal``). Answers without a schema have no
    body, and so no content type; a DELETE of nothing is 204, also where that is not declared.
    """
    content = json.loads(json.dumps(document.content))
    content["definitions"] = openapi.normal(content.get("definitions", {}))
    produced = content.pop("produces", [])
    for path in content["paths"].values():
        for method, operation in path.items():
            if method not in openapi.METHODS:
                continue
            answers = operation["responses"]
            for answer in answers.values():
                if "schema" in answer:
                    answer["schema"] = openapi.normal(answer["schema"])
            if method == "delete":
                answers.setdefault("204", {"description": "It was not there."})
            if all("schema" in answers[one] for one in answers if one.startswith("2")):
                operation.setdefault("produces", produced)
            else:
                operation.pop("produces", None)
    target = folder / "document.json"
    target.write_text(json.dumps(content))
    return target


def hold(plane: ControlPlane, name: str, folder: Path, seed: int, examples: int, phases: str) -> None:
    """Run a document, and check that the control plane came through."""
    if openapi.folder() is None:
        pytest.skip("Microsoft's documents are not here: set LANDBRIDGE_SPECS to their folder")
    document = openapi.documents()[name]
    done = run(plane, written(document, folder), document.version, folder, seed, examples, phases)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "generated" in done.stdout, done.stdout
    assert plane.child.process.poll() is None


@pytest.mark.parametrize("name", NEWEST)
def test_nothing_that_a_document_allows_or_forbids_breaks_the_control_plane(plane, tmp_path, name) -> None:
    hold(plane, name, tmp_path, FIXED_SEED, 2, "fuzzing")


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK_SEEDS)
@pytest.mark.parametrize("name", scope.DOCUMENTS)
def test_nor_does_more_of_it_with_other_seeds(tmp_path, name, seed) -> None:
    phases = "fuzzing" if name.startswith(CRASH_SCHEMATHESIS) else "coverage,fuzzing"
    folder = short_folder()
    plane = ControlPlane(folder)  # one of its own: what a run leaves behind disturbs no other
    try:
        hold(plane, name, tmp_path, seed, 10, phases)
    finally:
        plane.stop()
        shutil.rmtree(folder)


def test_a_document_that_says_otherwise_fails(plane, tmp_path) -> None:
    answer = {"description": "", "schema": {"type": "object", "properties": {"value": {"type": "integer"}}}}
    operation = {
        "operationId": "Operations_List",
        "parameters": [{"name": "api-version", "in": "query", "required": True, "type": "string"}],
        "responses": {"200": answer},
    }
    wrong = {
        "swagger": "2.0",
        "info": {"title": "wrong", "version": "2024-07-10"},
        "produces": ["application/json"],
        "paths": {"/providers/Microsoft.HybridCompute/operations": {"get": operation}},
    }
    document = tmp_path / "wrong.json"
    document.write_text(json.dumps(wrong))
    done = run(plane, document, "2024-07-10", tmp_path, FIXED_SEED, 2, "fuzzing")
    assert done.returncode == 1, done.stdout
    assert "Response violates schema" in done.stdout


def ask(plane: ControlPlane, method: str, path: str) -> tuple[int, str]:
    """Send a request whose path no client would write; return status and the error's code."""
    trust = ssl.create_default_context(cafile=str(plane.admin.ca_file))
    connection = http.client.HTTPSConnection("localhost", plane.port, context=trust, timeout=REQUEST_SECONDS)
    try:
        token = plane.token(plane.admin.client_id, plane.admin.client_secret)
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body)["error"]["code"] if body else ""
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND"])
def test_a_method_that_nobody_serves_is_405(plane, method) -> None:
    path = f"{plane.subscription}/resourcegroups?api-version=2022-09-01"
    assert ask(plane, method, path)[0] == 405


@pytest.mark.parametrize("wrong", ["%00", "%0A", "%0d%0a", "%1f", "%7f", "%C2%80", "a%00b"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_control_characters_in_a_name_are_400(plane, method, wrong) -> None:
    for path in (
        f"resourcegroups/{wrong}",
        f"resourcegroups/g/providers/Microsoft.HybridCompute/machines/{wrong}",
    ):
        status, code = ask(plane, method, f"{plane.subscription}/{path}?api-version=2024-07-10")
        assert status == 400, (path, code)
        assert code
