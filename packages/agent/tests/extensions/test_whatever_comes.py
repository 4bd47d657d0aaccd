"""Whatever comes from outside is taken or refused in words; nothing else happens."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_agent.extensions import archive, script_settings, signature, wishes
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import HandlerFolder, clean
from landbridge_agent.extensions.manifest import read_manifest
from landbridge_agent.extensions.names import Handler, fits, version_key
from landbridge_wire.work_api import EXTENSION, WorkItem

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(lambda them: ".".join(map(str, them)))


@quick
@given(data=st.data())
def test_a_zip_that_was_changed_anywhere_unpacks_within_its_folder_or_not_at_all(shop, tmp_path, data):
    content = bytearray(shop.zip(cases={"enable": "say success 0 fine"}, more=b"y" * 300))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    place = tmp_path / uuid.uuid4().hex
    place.mkdir()
    (place / "package.zip").write_bytes(content)
    try:
        archive.unpack(place / "package.zip", place / "folder")
    except ExtensionFailed:
        assert not (place / "folder").exists()
    assert {path.name for path in place.iterdir()} <= {"package.zip", "folder"}
    shutil.rmtree(place)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@quick
@given(data=st.data())
def test_a_signature_that_was_changed_anywhere_is_refused(shop, data):
    package = shop.packages["1.0"][0] if shop.packages else shop.publish("1.0", b"anything")
    text = package.signature
    at = data.draw(st.integers(0, len(text) - 2))  # the last character holds bits that mean nothing
    other = data.draw(st.characters(max_codepoint=300).filter(lambda one: one != text[at]))
    changed = dataclasses.replace(package, signature=text[:at] + other + text[at + 1 :])
    with pytest.raises(ExtensionFailed):
        signature.verify(changed, shop.roots(), time.time())


@quick
@given(st.text(max_size=200))
def test_any_text_is_no_signature(shop, text):
    package = shop.packages["1.0"][0] if shop.packages else shop.publish("1.0", b"anything")
    with pytest.raises(ExtensionFailed):
        signature.verify(dataclasses.replace(package, signature=text), shop.roots(), time.time())


@quick
@given(JSON)
def test_any_manifest_and_status_is_read_or_refused(host, value):
    folder = HandlerFolder(host.paths, Handler("P", "T", "1"))
    (folder.path / "status").mkdir(parents=True, exist_ok=True)
    for shape in (value, [value], [{"handlerManifest": value, "status": value}]):
        (folder.path / "HandlerManifest.json").write_text(json.dumps(shape))
        (folder.path / "status/0.status").write_text(json.dumps(shape))
        with pytest.raises(ExtensionFailed):
            read_manifest(folder.path)
        folder.status("0")


@quick
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "publisher",
                "type",
                "typeHandlerVersion",
                "settings",
                "forceUpdateTag",
                "autoUpgradeMinorVersion",
            ]
        ),
        JSON,
    ),
    st.dictionaries(st.just("protectedSettings"), JSON),
)
def test_any_resource_is_read_or_refused(properties, protected):
    item = WorkItem("i", "apply", "/t", EXTENSION, 1, properties, protected)
    try:
        wishes.read(item)
    except ExtensionFailed as error:
        assert error.message.startswith("ExtensionInsufficientBody")


@quick
@given(
    st.dictionaries(
        st.sampled_from(["commandToExecute", "script", "fileUris", "skipDos2Unix", "other"]), JSON
    ),
    st.dictionaries(st.sampled_from(["commandToExecute", "script", "fileUris", "storageAccountName"]), JSON),
)
def test_any_settings_of_a_script_are_read_or_refused(public, protected):
    try:
        script_settings.read(public, protected)
    except script_settings.BadSettings as error:
        assert str(error)


@given(NUMBERS, NUMBERS)
def test_versions_are_ordered_as_numbers_and_fit_their_beginnings(one, other):
    assert fits(one, "") and fits(one, one) and fits(f"{one}.7", one)
    assert fits(one, other) or version_key(one) != version_key(other)
    assert version_key(f"{one}.0") == version_key(one)
    assert version_key("2.10") > version_key("2.9")


@given(st.text())
def test_what_is_shown_is_text_for_json_and_terminals(text):
    shown = clean(text)
    assert json.dumps(shown).encode() and not any(one < " " and one not in "\n\t" for one in shown)
