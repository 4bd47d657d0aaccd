"""Microsoft's examples against this cloud, document by document; the floor only goes up."""

from __future__ import annotations

import json

import pytest

from tests.conformance import examples, openapi, scope, score, world

MACHINE = (
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
    "/providers/Microsoft.HybridCompute/machines/{machineName}"
)
needs_data = pytest.mark.skipif(
    openapi.folder() is None,
    reason="Microsoft's documents are not here: set LANDBRIDGE_SPECS to their folder",
)
DOCUMENTS = {document.name: document for document in examples.in_scope()}


@pytest.mark.parametrize("name", scope.DOCUMENTS)
async def test_no_fewer_examples_of_a_document_pass_than_before(name, tmp_path) -> None:
    if name not in DOCUMENTS:
        pytest.skip("Microsoft's documents are not here: set LANDBRIDGE_SPECS to their folder")
    async with world.opened(tmp_path / "cloud") as cloud:
        cases = await examples.replay(cloud, DOCUMENTS[name])
    row = score.example_row(name, cases)
    told = "\n".join(f"{what}: {fault}" for what, fault in row.faults)
    assert row.passed >= score.floor()["examples"].get(name, 0), told
    # Wrongly refused is a failure of its own kind, which no score makes up for.
    refused = [case for case in cases if scope.not_offered(case.document, case.operation, case.title)]
    assert [(case.operation, case.faults) for case in refused if case.faults] == []


def _changed(name, change):
    """Return a document with something changed in its content."""
    document = openapi.Document(openapi.folder(), openapi.folder() / name)
    document.content = json.loads(json.dumps(document.content))
    change(document.content)
    return document


@needs_data
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda put: put["responses"].update({"299": put["responses"].pop("200")}), "declared are [299]"),
        (
            lambda put: put["responses"]["200"].update(
                {"schema": {"properties": {"id": {"type": "integer"}}}}
            ),
            "is not of type 'integer'",
        ),
        (
            lambda put: put["x-ms-examples"]["Create or Update a Machine"]["parameters"]["parameters"].update(
                {"properties": {"mssqlDiscovered": 1}}
            ),
            "answers 400 InvalidRequestContent",
        ),
    ],
)
async def test_a_document_that_says_otherwise_fails(tmp_path, change, told) -> None:
    name = "Microsoft.HybridCompute/2022-11-10/HybridCompute.json"
    document = _changed(name, lambda content: change(content["paths"][MACHINE]["put"]))
    async with world.opened(tmp_path / "cloud") as cloud:
        cases = await examples.replay(cloud, document)
    found = [case for case in cases if case.operation == "Machines_CreateOrUpdate"]
    assert [case.outcome for case in found] == [examples.FAILED]
    assert any(told in fault for fault in found[0].faults), found[0].faults
