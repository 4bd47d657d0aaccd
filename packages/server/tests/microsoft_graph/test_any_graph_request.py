"""Whatever is sent to whatever path: an answer or a refusal in words, never an error of our own."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_server.microsoft_graph.applications import _KNOWN as APPLICATION
from landbridge_server.microsoft_graph.groups import _KNOWN as GROUP
from landbridge_server.microsoft_graph.service_principals import _KNOWN as SERVICE_PRINCIPAL
from landbridge_server.microsoft_graph.users import _KNOWN as USER

NAMES = sorted(
    {
        *APPLICATION,
        *GROUP,
        *SERVICE_PRINCIPAL,
        *USER,
        "@odata.id",
        "members@odata.bind",
        "owners@odata.bind",
        "ids",
        "types",
        "groupIds",
        "securityEnabledOnly",
        "keyId",
        "passwordCredential",
        "principalId",
        "roleDefinitionId",
        "directoryScopeId",
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=8),
    st.sampled_from(["x@landbridge.local", "Correct-Horse-1", "api://x", "2030-01-01T00:00:00Z", "aGk="]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["password", "key", "keyId", "type"]), inner),
    ),
    max_leaves=5,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
WORDS = st.sampled_from(
    [
        "users",
        "groups",
        "applications",
        "servicePrincipals",
        "me",
        "directoryObjects",
        "organization",
        "domains",
        "USER",
        "GROUP",
        "APP",
        "SP",
        "members",
        "owners",
        "memberOf",
        "transitiveMembers",
        "$ref",
        "$count",
        "getByIds",
        "addPassword",
        "changePassword",
        "roleManagement",
        "directory",
        "roleDefinitions",
        "roleAssignments",
        "removePassword",
        "getMemberGroups",
        "checkMemberGroups",
        "users('x')",
        "servicePrincipals(appId='x')",
        "microsoft.graph.user",
        "x'y",
        "%",
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(["$filter", "$select", "$top", "$skiptoken", "$count", "$orderby", "$expand", "x"]),
    st.one_of(
        st.text(max_size=10), st.sampled_from(["displayName eq 'x'", "id", "5", "WyJhIiwiYiJd", "true"])
    ),
    max_size=2,
)


METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE"])
REQUESTS = st.lists(st.tuples(METHODS, st.lists(WORDS, max_size=5), QUERIES, BODIES), min_size=3, max_size=8)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS)
async def test_no_request_makes_an_error_of_our_own(graph, requests):
    """One cloud for all examples; each begins with an object of each kind, and may do away with them."""
    if "king" not in graph.tokens:
        graph.user("king", "Global Administrator")
    app, sp = await graph.app(by="king")
    crew = await graph.group(by="king")
    user = graph.program("program")
    ids = {"USER": user, "APP": app["id"], "SP": sp["id"], "GROUP": crew["id"]}
    for method, words, query, body in requests:
        if words[:1] == ["me"] and method in ("PATCH", "DELETE"):
            continue  # the one who asks stays
        path = "/" + "/".join(ids.get(word, word) for word in words)
        answer = await graph(method, path, body if method != "GET" else None, params=query, by="king")
        assert answer.status_code < 500, (method, path, query, body, answer.text)
    await graph.ok("GET", "/me", by="king")
