"""Handlers are installed, enabled, updated and removed as their contract says."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

SAYS = {"enable": "say success 0 'it is on'"}


def view(outcome):
    return outcome.properties["instanceView"]


def test_an_extension_is_installed_and_enabled_and_its_word_is_reported(host, shop):
    shop.publish("1.0", cases=SAYS)
    outcome = host.apply(settings={"a": 1})
    assert (outcome.error_code, outcome.error_message) == ("", "")
    assert host.calls() == ["install 1.0 0", "enable 1.0 0"]
    assert view(outcome) == {
        "name": "probe",
        "type": "Probe",
        "typeHandlerVersion": "1.0",
        "status": view(outcome)["status"]
        | {
            "code": "success",
            "level": "Information",
            "displayStatus": "Provisioning succeeded",
            "message": "Extension Message: it is on",
        },
    }


def test_a_handler_finds_the_files_and_variables_of_its_contract(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.settings["proxy.url"] = "http://user:pw@proxy.example:3128"
    host.apply(settings={"a": 1}, protected={"secret": "hunter2"})
    folder = host.folder()
    found = json.loads((folder / "HandlerEnvironment.json").read_text())[0]["handlerEnvironment"]
    assert found["configFolder"] == str(folder / "config") and found["statusFolder"] == str(folder / "status")
    lines = (shop.log.parent / "calls.log.env").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert variables["ConfigSequenceNumber"] == "0" and variables["VERSION"] == "1.0"
    assert variables["AZURE_GUEST_AGENT_EXTENSION_PATH"] == str(folder)
    assert variables["https_proxy"] == variables["HTTPS_PROXY"] == "http://user:pw@proxy.example:3128"
    assert "localhost" in variables["NO_PROXY"]
    for path in host.paths.extensions.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


def test_protected_settings_open_with_openssl_and_the_pair_of_the_thumbprint(host, shop, tmp_path):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={}, protected={"secret": "hunter2"})
    said = json.loads((host.folder() / "config/0.settings").read_text())["runtimeSettings"][0][
        "handlerSettings"
    ]
    thumb = said["protectedSettingsCertThumbprint"]
    sealed = tmp_path / "sealed"
    sealed.write_bytes(base64.b64decode(said["protectedSettings"]))
    pair = [host.paths.extensions / f"{thumb}.{end}" for end in ("crt", "prv")]
    assert pair[1].stat().st_mode & 0o777 == 0o600
    for program in ("cms", "smime"):
        words = f"{program} -inform DER -decrypt -recip {pair[0]} -inkey {pair[1]} -in {sealed}".split()
        done = subprocess.run(["openssl", *words], capture_output=True, check=True)
        assert json.loads(done.stdout) == {"secret": "hunter2"}


def test_the_same_again_keeps_the_resource_and_runs_nothing(host, shop):
    shop.publish("1.0", cases=SAYS)
    first = host.apply(settings={"a": 1})
    again = host.apply(settings={"a": 1})
    assert again.error_code == "" and view(again)["status"]["message"] == view(first)["status"]["message"]
    assert host.calls() == ["install 1.0 0", "enable 1.0 0"]


@pytest.mark.parametrize("change", [{"settings": {"a": 2}}, {"forceUpdateTag": "2"}, {"protected": {"p": 1}}])
def test_a_change_is_enabled_under_the_next_number(host, shop, change):
    shop.publish("1.0", cases=SAYS)
    host.apply(settings={"a": 1})
    host.apply(**{"settings": {"a": 1}, **change})
    assert host.calls()[2:] == ["enable 1.0 1"]
    assert not (host.folder() / "config/0.settings").exists()


def test_a_failed_install_is_tried_again_with_other_settings(host, shop):
    shop.publish(
        "1.0", cases={**SAYS, "install": f"[ -e {shop.log}.ready ] || {{ echo no luck >&2; exit 7; }}"}
    )
    failed = host.apply(settings={"a": 1})
    assert failed.error_code == "HCRP400"
    assert "Extension returned non-zero exit code for Install: 7. It said: no luck" in failed.error_message
    assert view(failed)["status"]["level"] == "Error"
    (shop.log.parent / "calls.log.ready").touch()
    assert host.apply(settings={"a": 2}).error_code == ""
    assert host.calls() == ["install 1.0 0", "install 1.0 0", "enable 1.0 0"]


def test_a_failed_enable_runs_again_when_the_same_is_asked_again(host, shop):
    shop.publish("1.0", cases={"enable": "say error 9 'no disk'; exit 9"})
    failed = host.apply(settings={"a": 1})
    assert failed.error_message == "Extension returned non-zero exit code for Enable: 9. no disk"
    assert host.apply(settings={"a": 1}).error_code == "HCRP400"
    assert host.calls() == ["install 1.0 0", "enable 1.0 0", "enable 1.0 1"]


def test_an_error_that_only_the_status_file_tells_is_one(host, shop):
    shop.publish("1.0", cases={"enable": "say error 5 'cannot reach the server'"})
    outcome = host.apply()
    assert outcome.error_message == "Extension reported an error with code 5: cannot reach the server"


def test_exit_code_64_is_explained_as_noexec(host, shop):
    shop.publish("1.0", cases={"install": "exit 64"})
    assert "'noexec'" in host.apply().error_message


def test_a_handler_that_says_transitioning_is_waited_for(host, shop):
    shop.publish(
        "1.0",
        cases={"enable": "say transitioning 0 working; (sleep 1; say success 0 done) >/dev/null 2>&1 &"},
    )
    outcome = host.apply()
    assert view(outcome)["status"]["message"] == "Extension Message: done"


def test_what_a_handler_says_on_its_way_is_observed(host, shop):
    shop.publish("1.0", cases={"enable": "say transitioning 0 'half of it'; sleep 1.5; say success 0 all"})
    task = host.task("apply", properties={"publisher": "Contoso.Tools", "type": "Probe"})
    assert host.carry_out(task).error_code == ""
    status = json.loads((task.folder / "observed.json").read_text())["instanceView"]["status"]
    assert (status["code"], status["message"]) == ("transitioning", "Extension Message: half of it")


def test_a_handler_that_says_transitioning_for_ever_is_given_up_when_nothing_of_it_runs(host, shop):
    shop.publish("1.0", cases={"enable": "say transitioning 0 working"})
    assert "timed out for Enable" in host.apply().error_message


def test_a_handler_that_ends_well_and_says_nothing_is_enabled(host, shop):
    shop.publish("1.0")
    outcome = host.apply()
    assert outcome.error_code == "" and "reports nothing" in view(outcome)["status"]["message"]


def test_removal_disables_uninstalls_and_leaves_nothing(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    assert host.remove().error_code == ""
    assert host.calls()[2:] == ["disable 1.0 0", "uninstall 1.0 0"]
    assert not host.folder().exists()
    assert [event["operation"] for event in host.record().history] == ["install", "enable", "uninstall"]
    assert host.remove().error_code == ""  # nothing to do


def test_a_handler_that_will_not_be_uninstalled_goes_the_second_time(host, shop):
    shop.publish("1.0", cases={**SAYS, "uninstall": "exit 3"})
    host.apply()
    refused = host.remove()
    assert "non-zero exit code for Uninstall: 3" in refused.error_message and host.folder().exists()
    assert host.remove().error_code == "" and not host.folder().exists()


def test_numbers_go_on_after_a_removal(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    host.remove()
    host.apply()
    assert host.calls()[-1] == "enable 1.0 1"


def test_a_second_resource_for_a_handler_of_one_is_refused_and_the_first_unharmed(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply("one")
    refused = host.apply("two")
    assert "Multiple extensions per handler are not supported" in refused.error_message
    assert host.remove("two").error_code == "" and host.folder().exists()


def test_a_handler_of_several_resources_keeps_them_apart(host, shop):
    shop.publish("1.0", several=True, cases={"enable": 'say success 0 "I am $ConfigExtensionName"'})
    host.apply("one", settings={"a": 1})
    second = host.apply("two", settings={"a": 2})
    assert view(second)["status"]["message"] == "Extension Message: I am two"
    assert host.calls() == ["install 1.0 0 one", "enable 1.0 0 one", "enable 1.0 0 two"]
    assert host.remove("one").error_code == "" and host.folder().exists()
    assert not (host.folder() / "config/one.0.settings").exists()
    assert (host.folder() / "config/two.0.settings").exists()
    host.remove("two")
    assert host.calls()[3:] == ["disable 1.0 0 one", "disable 1.0 0 two", "uninstall 1.0 0 two"]
    assert not host.folder().exists()


def test_another_type_under_the_same_name_is_refused(host, shop):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    refused = host.apply(publisher="Microsoft.Azure.Extensions", type="CustomScript", settings={})
    assert "delete it first" in refused.error_message and host.folder().exists()


def test_what_this_cloud_does_not_ship_is_not_found(host):
    outcome = host.apply(typeHandlerVersion="1.0")
    assert outcome.error_message.startswith(
        "ExtensionNotFound: this cloud has no package of Contoso.Tools/Probe"
    )
    assert view(outcome)["type"] == "Probe" and host.left() == []


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"extensions.enabled": False}, "extensions.enabled is false"),
        ({"extensions.blocklist": ["contoso.tools/probe"]}, "is in extensions.blocklist"),
        ({"extensions.allowlist": ["A/B"]}, "it is not in extensions.allowlist"),
        ({"extensions.allowlist": ["Allow/None"]}, "it is not in extensions.allowlist"),
        ({"config.mode": "monitor"}, "config.mode is monitor"),
    ],
)
def test_what_the_local_configuration_denies_is_refused_with_the_rule_and_may_be_removed(
    host, shop, settings, rule
):
    shop.publish("1.0", cases=SAYS)
    host.apply()
    host.settings.update(settings)
    denied = host.apply(settings={"a": 2})
    assert denied.error_code == "ExtensionDenied" and rule in denied.error_message
    assert rule in host.upgrade().error_message
    assert len(host.calls()) == 2
    assert host.remove().error_code == "" and not host.folder().exists()


@pytest.mark.parametrize(
    "properties",
    [
        {"publisher": "../x"},
        {"type": "a/b"},
        {"typeHandlerVersion": "one"},
        {"settings": []},
        {"publisher": None},
    ],
)
def test_a_resource_that_makes_no_sense_is_refused(host, properties):
    outcome = host.apply(**properties)
    assert outcome.error_message.startswith("ExtensionInsufficientBody")
