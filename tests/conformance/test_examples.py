"""Microsoft's examples against this cloud, document by document; the floor only goes up."""

from __future__ import annotations

import pytest

from tests.conformance import examples, scope, score, world

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
    refused = [case for case in cases if scope.not_offered(case.document, case.operation)]
    assert [(case.operation, case.faults) for case in refused if case.faults] == []
