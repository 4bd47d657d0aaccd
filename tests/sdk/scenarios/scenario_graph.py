"""azure-mgmt-resourcegraph: what can be asked, paging by token, and what is refused."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.resourcegraph import ResourceGraphClient


@pytest.fixture
def graph(cloud):
    return cloud.without_subscription(ResourceGraphClient)


def ask(cloud, graph, query, **options):
    more = {"options": options} if options else {}
    return graph.resources({"subscriptions": [cloud.subscription], "query": query, **more})


def test_machines_are_found_projected_and_ordered(cloud, group, graph):
    for number in (2, 0, 1):
        group.add_machine(f"n{number}", tags={"number": str(number)})
    where = f"where type =~ 'microsoft.hybridcompute/machines' and resourceGroup =~ '{group.name}'"
    found = ask(cloud, graph, f"resources | {where} | project name, location | order by name asc")
    assert found.data == [{"name": f"n{number}", "location": "local"} for number in range(3)]
    assert (found.count, found.total_records) == (3, 3)
    counted = ask(cloud, graph, f"resources | {where} | summarize count() by location")
    assert [list(one.values()) for one in counted.data] in ([["local", 3]], [[3, "local"]])
    assert len(ask(cloud, graph, f"resources | {where} | limit 2").data) == 2


def test_pages_follow_one_another_by_token(cloud, group, graph):
    for number in range(5):
        group.add_machine(f"n{number}")
    query = f"resources | where resourceGroup =~ '{group.name}' | project name | order by name asc"
    names, token = [], None
    while True:
        more = {"$skipToken": token} if token else {}
        found = ask(cloud, graph, query, **{"$top": 2, **more})
        assert len(found.data) <= 2
        names += [one["name"] for one in found.data]
        token = found.skip_token
        if not token:
            break
    assert names == [f"n{number}" for number in range(5)]


def test_groups_are_resource_containers(cloud, group, graph):
    query = f"resourcecontainers | where name =~ '{group.name}' | project id"
    assert [one["id"].lower() for one in ask(cloud, graph, query).data] == [group.id.lower()]


def test_what_is_not_understood_is_refused(cloud, graph):
    for query in ("resources | join kind=inner (x) on id", "nothing | limit 1", "resources | where"):
        with pytest.raises(HttpResponseError) as refused:
            ask(cloud, graph, query)
        assert refused.value.status_code == 400
        error = refused.value.error
        assert "InvalidQuery" in (error.code, *(one.code for one in error.details or ()))
