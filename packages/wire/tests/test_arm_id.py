from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_wire import arm_id

SUB = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333"
MACHINE = SUB + "/resourceGroups/Servers/providers/Microsoft.HybridCompute/machines/Web1"


def test_a_resource_in_a_group_is_taken_apart_with_its_casing():
    parsed = arm_id.parse(MACHINE)
    assert parsed.group == "Servers"
    assert parsed.namespace == "Microsoft.HybridCompute"
    assert parsed.type == "Microsoft.HybridCompute/machines"
    assert parsed.name == "Web1"
    assert parsed.key == MACHINE.lower()
    assert parsed.parent == SUB + "/resourceGroups/Servers"


def test_an_extension_resource_hangs_on_its_parent():
    text = MACHINE + "/providers/Microsoft.HybridConnectivity/endpoints/default/serviceConfigurations/SSH"
    parsed = arm_id.parse(text)
    assert parsed.parent == MACHINE
    assert parsed.type == "Microsoft.HybridConnectivity/endpoints/serviceConfigurations"
    assert [pair.name for pair in parsed.segments] == ["default", "SSH"]


def test_a_collection_has_a_type_but_no_last_name():
    parsed = arm_id.parse(MACHINE.rpartition("/")[0])
    assert parsed.collection == "machines"
    assert parsed.type == "Microsoft.HybridCompute/machines"
    assert parsed.segments == ()


def test_a_group_and_a_subscription_have_names_and_no_type():
    assert arm_id.parse(SUB + "/resourceGroups/G").name == "G"
    assert arm_id.parse(SUB).type == ""
    assert arm_id.parse("/").text == "/"


def test_empty_segments_are_dropped_as_az_sends_them():
    assert arm_id.parse(SUB + "/resourcegroups/G/providers/NS//things/T").type == "NS/things"


@pytest.mark.parametrize("text", ["", "subscriptions/x", SUB + "/nonsense/x", SUB + "/providers"])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(arm_id.MalformedId):
        arm_id.parse(text)


def test_a_scope_contains_only_whole_segments():
    assert arm_id.contains(SUB + "/resourceGroups/serv", MACHINE) is False
    assert arm_id.contains(SUB + "/resourcegroups/SERVERS/", MACHINE)
    assert arm_id.contains("/", MACHINE)
    assert arm_id.same(MACHINE, MACHINE.upper() + "/")


words = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/"), min_size=1, max_size=12
)
names = words.filter(lambda word: word.lower() not in ("providers", "resourcegroups", "subscriptions"))


@given(names, names, names, names, names, st.lists(st.tuples(names, names), max_size=3))
def test_what_is_built_is_parsed_again(subscription, group, namespace, kind, name, more):
    built = arm_id.build(subscription, group, namespace, (kind, name), *more)
    parsed = arm_id.parse(built)
    assert (parsed.subscription, parsed.group, parsed.namespace) == (subscription, group, namespace)
    assert [(pair.type, pair.name) for pair in parsed.segments] == [(kind, name), *more]
    assert parsed.text == built


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused_and_nothing_else(text):
    try:
        parsed = arm_id.parse(text)
    except arm_id.MalformedId:
        return
    assert arm_id.parse(parsed.text).key == parsed.key


@pytest.mark.parametrize("tail", ["/providers/a/b/c" * 2000, "/providers/a" + "/b/c" * 40, "/" + "x" * 5000])
def test_an_id_that_nobody_can_mean_is_malformed_and_cheap(tail):
    with pytest.raises(arm_id.MalformedId, match="at most"):
        arm_id.parse(SUB + tail)


@given(st.lists(st.sampled_from(["subscriptions", "resourceGroups", "providers"]) | names, max_size=12))
def test_whatever_is_an_id_lies_within_all_that_encloses_it(parts):
    try:
        parsed = arm_id.parse("/" + "/".join(parts))
    except arm_id.MalformedId:
        return
    assert arm_id.same(parsed.text, parsed.text.upper())
    assert arm_id.parse(parsed.text.upper()).key == arm_id.parse(parsed.text.lower()).key == parsed.key
    if parsed.parent not in ("", "/", parsed.text):
        above = arm_id.parse(parsed.parent)
        assert arm_id.contains(above.text, parsed.text)
        assert not arm_id.contains(parsed.text, above.text)
        assert not arm_id.contains(parsed.text, parsed.text + "x")
