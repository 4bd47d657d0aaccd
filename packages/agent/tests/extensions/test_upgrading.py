"""An upgrade takes the old version's place, or the old version is back."""

from __future__ import annotations

import pytest

from landbridge_agent.extensions.handler_folder import ENABLED

SAYS = {"enable": 'say success 0 "it is $VERSION"'}


def test_an_upgrade_follows_the_order_of_the_contract_and_uses_the_same_number(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})
    shop.publish("1.1", cases=SAYS)
    outcome = host.upgrade()
    assert outcome.error_code == ""
    assert outcome.properties["extensionTargets"]["Contoso.Tools.Probe"]["version"] == "1.1"
    assert host.calls()[2:] == [
        "disable 1.0 0",
        "update 1.1 0",
        "uninstall 1.0 0",
        "install 1.1 0",
        "enable 1.1 0",
    ]
    assert not host.folder("1.0").exists()
    assert (host.folder("1.1") / "config/0.settings").exists()
    assert host.record().version == "1.1" and host.record().upgrading_from == ""


def test_a_newer_minor_version_is_taken_where_the_resource_lets_it(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply(typeHandlerVersion="1.0", settings={})
    shop.publish("1.2", cases=SAYS)
    host.apply(typeHandlerVersion="1.0", settings={"a": 1})
    assert host.record().version == "1.0"
    host.apply(typeHandlerVersion="1.0", autoUpgradeMinorVersion=True, settings={"a": 2})
    assert host.record().version == "1.2" and host.calls()[-1] == "enable 1.2 2"


def test_a_lower_minor_version_than_asked_for_will_not_do(host, shop):
    shop.publish("1.0", cases=SAYS)
    refused = host.apply(typeHandlerVersion="1.5", autoUpgradeMinorVersion=True)
    assert refused.error_message == "ExtensionNotFound: this cloud has Contoso.Tools.Probe 1.0, not 1.5."


@pytest.mark.parametrize("broken", ["update", "install", "enable"])
def test_a_failed_upgrade_brings_the_last_good_version_back(host, shop, broken):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})
    shop.publish("2.0", cases={**SAYS, broken: "echo it is broken; exit 5"})
    outcome = host.upgrade()
    assert outcome.error_code == "HCRP400"
    assert f"non-zero exit code for {broken.title()}: 5. It said: it is broken" in outcome.error_message
    assert "Version 1.0 is back." in outcome.error_message
    assert host.left() == ["Contoso.Tools.Probe-1.0"]
    assert (host.folder("1.0") / "config/HandlerState").read_text() == ENABLED
    assert host.record().version == "1.0" and host.calls()[-1] == "enable 1.0 0"
    assert host.apply(settings={"a": 1}, typeHandlerVersion="1.0").error_code == ""


def test_an_apply_whose_upgrade_fails_says_so_and_can_be_repeated(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})
    shop.publish("2.0", cases={**SAYS, "install": "exit 5"})
    failed = host.apply(settings={"a": 2}, typeHandlerVersion="2.0")
    assert "Version 1.0 is back." in failed.error_message
    shop.publish("2.0", cases=SAYS)
    done = host.apply(settings={"a": 2}, typeHandlerVersion="2.0")
    assert done.error_code == "" and host.left() == ["Contoso.Tools.Probe-2.0"]


def test_a_package_that_is_not_signed_changes_nothing_of_what_is_installed(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    shop.publish("2.0", cases=SAYS)
    shop.replace("2.0", signature="")
    outcome = host.upgrade()
    assert "it has no signature" in outcome.error_message
    assert host.left() == ["Contoso.Tools.Probe-1.0"] and len(host.calls()) == 2


def test_each_target_has_a_result_of_its_own(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    content = {"extensionTargets": {"Contoso.Tools.Probe": {}, "No.Such": {}}}
    task = host.task("upgradeExtensions", "", "microsoft.hybridcompute/machines", content=content)
    outcome = host.carry_out(task)
    results = outcome.properties["extensionTargets"]
    assert results["Contoso.Tools.Probe"]["status"] == "Succeeded"
    assert results["No.Such"]["status"] == "Failed" and "No.Such" in outcome.error_message


def test_resources_that_share_a_handler_are_upgraded_together(host, shop):
    shop.publish("1.0", several=True, cases=SAYS)
    host.apply("one")
    host.apply("two")
    shop.publish("2.0", several=True, cases=SAYS)
    assert host.upgrade().error_code == ""
    assert host.record("one").version == host.record("two").version == "2.0"
    assert {"enable 2.0 0 one", "enable 2.0 0 two"} <= set(host.calls())
    assert host.left() == ["Contoso.Tools.Probe-2.0"]


def test_when_the_cloud_cannot_be_asked_what_is_here_does(host, shop, monkeypatch):
    from landbridge_agent.extensions.packages import NotAvailable

    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})

    def fail(*_):
        raise NotAvailable("the line is down")

    monkeypatch.setattr(shop, "find", fail)
    assert host.apply(settings={"a": 2}, typeHandlerVersion="1.0").error_code == ""
    assert "10 tries: the line is down" in host.apply("probe", typeHandlerVersion="3.0").error_message


def test_what_was_upgraded_by_itself_is_not_put_back_by_a_change_of_settings(host, shop):
    for version in ("1.0", "1.4"):
        shop.publish(version, cases=SAYS)
    host.apply(typeHandlerVersion="1.0", settings={})
    assert host.upgrade("1.4").error_code == ""
    host.apply(typeHandlerVersion="1.0", settings={"a": 1})
    assert host.record().version == "1.4" and host.calls()[-1] == "enable 1.4 1"
    host.apply(typeHandlerVersion="1.0", settings={"a": 2}, enableAutomaticUpgrade=False)
    assert host.record().version == "1.0" and host.left() == ["Contoso.Tools.Probe-1.0"]


def test_the_version_that_is_back_has_the_settings_that_it_had(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})
    shop.publish("2.0", cases={"enable": "exit 5"})
    assert "Version 1.0 is back." in host.apply(settings={"a": 2}, typeHandlerVersion="2.0").error_message
    assert host.calls()[-1] == "enable 1.0 0" and (host.folder() / "config/0.settings").exists()
    shop.publish("2.1", cases=SAYS)
    assert host.upgrade("2.1").error_code == "" and host.calls()[-1] == "enable 2.1 0"
    host.apply(settings={"a": 2}, typeHandlerVersion="2")
    assert host.calls()[-1] == "enable 2.1 2"  # 1 was used, by the version that failed


def test_all_that_share_a_handler_are_back_with_the_version_of_before(host, shop):
    shop.publish("1.0", several=True, cases=SAYS)
    host.apply("one")
    host.apply("two")
    shop.publish(
        "2.0", several=True, cases={"enable": '[ "$ConfigExtensionName" = one ] || exit 5; say success 0 ok'}
    )
    before = len(host.calls())
    assert "Version 1.0 is back." in host.upgrade().error_message
    calls = host.calls()[before:]
    assert {"disable 1.0 0 one", "disable 1.0 0 two"} <= set(calls)
    assert set(calls[-2:]) == {"enable 1.0 0 one", "enable 1.0 0 two"}
    assert host.record("one").version == host.record("two").version == "1.0"


def test_a_third_resource_that_wants_another_version_and_fails_leaves_the_others_as_they_were(host, shop):
    shop.publish("1.0", several=True, cases=SAYS)
    host.apply("one", typeHandlerVersion="1.0")
    shop.publish("2.0", several=True, cases={"install": "exit 5"})
    failed = host.apply("two", typeHandlerVersion="2.0")
    assert "Version 1.0 is back." in failed.error_message
    assert host.calls()[-1] == "enable 1.0 0 one" and host.left() == ["Contoso.Tools.Probe-1.0"]
    assert host.remove("two").error_code == "" and host.remove("one").error_code == "" and host.left() == []
