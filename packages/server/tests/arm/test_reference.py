from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm.reference import parsed, resolve
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

SUBSCRIPTION = "/subscriptions/273c36bb-a0c0-4321-a6fe-4b71bd392ebc"
MACHINE = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.HybridCompute/machines/M"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    cloud = ControlPlane(tmp_path_factory.mktemp("cloud") / "data")
    yield cloud.plane.resources.registry
    cloud.plane.close()


def test_names_keep_their_casing_and_words_get_the_canonical_one(registry):
    text = (
        MACHINE.upper()
        + "/PROVIDERS/MICROSOFT.HYBRIDCONNECTIVITY/ENDPOINTS/DEFAULT/SERVICECONFIGURATIONS/SSH"
    )
    reference = resolve(parsed(text), registry, "")
    assert reference.id.text == (
        f"{SUBSCRIPTION}/resourceGroups/G/providers/Microsoft.HybridCompute/machines/M"
        "/providers/Microsoft.HybridConnectivity/endpoints/DEFAULT/serviceConfigurations/SSH"
    )
    assert reference.parent_key == reference.key.removesuffix("/serviceconfigurations/ssh")


def test_an_extension_lies_below_its_resource_and_a_tracked_resource_below_its_group(registry):
    endpoint = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"
    assert resolve(parsed(endpoint), registry, "").parent_key == MACHINE.lower()
    assert resolve(parsed(MACHINE), registry, "").parent_key == f"{SUBSCRIPTION}/resourcegroups/g"


NAME = st.text(st.characters(blacklist_characters="/", blacklist_categories=("Cs",)), min_size=1, max_size=10)


@given(
    st.lists(
        st.sampled_from(["subscriptions", "providers", "resourceGroups", "Microsoft.HybridCompute"]) | NAME
    )
)
def test_any_path_is_resolved_or_refused(registry, parts):
    path = "/" + "/".join(parts)
    try:
        resolve(parsed(path), registry, "2024-07-10")
    except ArmError as error:
        assert error.status == 404
