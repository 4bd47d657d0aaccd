"""The local configuration's values, and what they decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent import local_policy
from landbridge_agent.local_config import (
    ALLOWLIST,
    BLOCKLIST,
    EXTENSIONS_CPU,
    EXTENSIONS_ENABLED,
    GUEST_ENABLED,
    MODE,
    PROPERTIES,
    PROXY_BYPASS,
    PROXY_URL,
    InvalidSetting,
    assign,
    incoming,
    parse,
    shown,
    text_of,
    value_of,
)
from landbridge_agent.proxies import NO_PROXY, Proxy

SECRET = "http://user:pa%40ss@proxy.example:3128"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        (PROXY_URL, "http://proxy:3128/", "http://proxy:3128"),
        (PROXY_URL, "proxy:3128", "http://proxy:3128"),
        (PROXY_URL, SECRET, SECRET),
        (PROXY_URL, "http://[::1]:3128", "http://[::1]:3128"),
        (PROXY_URL, "", ""),
        (PROXY_BYPASS, "arc,AAD, .corp *.example.com", ["Arc", "AAD", ".corp", "*.example.com"]),
        (PROXY_BYPASS, "10.0.0.0/8,fd00::/8,192.0.2.1", ["10.0.0.0/8", "fd00::/8", "192.0.2.1"]),
        (PROXY_BYPASS, "clear", []),
        (ALLOWLIST, "A.B/C,a.b/c,D/E", ["A.B/C", "D/E"]),
        (ALLOWLIST, "allow/none", ["Allow/None"]),
        (EXTENSIONS_CPU, "80", 80),
        (EXTENSIONS_CPU, "80%", 80),
        (MODE, "Monitor", "monitor"),
        ("connection.type", "direct", "direct"),
    ],
)
def test_values_are_read(name, text, value):
    assert parse(PROPERTIES[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (PROXY_URL, "https://proxy:3128"),
        (PROXY_URL, "socks5://proxy"),
        (PROXY_URL, "http://"),
        (PROXY_URL, "http://proxy:99999"),
        (PROXY_URL, "http://proxy:0"),
        (PROXY_URL, "http://proxy/path"),
        (PROXY_URL, "http://user:p@ss@proxy:1"),
        (PROXY_URL, "http://pro xy"),
        (PROXY_URL, "http://proxy\r\nX: y"),
        (PROXY_URL, "http://" + "x" * 3000),
        (PROXY_BYPASS, "10.0.0.0/33"),
        (PROXY_BYPASS, "a b!c"),
        (ALLOWLIST, "CustomScript"),
        (ALLOWLIST, "A/B/C"),
        (BLOCKLIST, "../x"),
        (EXTENSIONS_CPU, "0"),
        (EXTENSIONS_CPU, "101"),
        (EXTENSIONS_CPU, "5.5"),
        (EXTENSIONS_CPU, "many"),
        (MODE, "locked"),
        ("connection.type", "gateway"),
        (GUEST_ENABLED, "1"),
    ],
)
def test_values_that_do_not_fit_are_refused(name, text):
    with pytest.raises(InvalidSetting, match=name.replace(".", r"\.")):
        parse(PROPERTIES[name], text)


def test_no_refusal_repeats_a_password():
    for text in ("https://u:hush@p", "http://u:hush@p:99999", "http://u:hu@sh@p", "http://u:hush@p/x"):
        with pytest.raises(InvalidSetting) as refused:
            parse(PROPERTIES[PROXY_URL], text)
        assert "hush" not in str(refused.value) and "hu@sh" not in str(refused.value)


def test_a_password_is_never_printed():
    value = value_of({PROXY_URL: SECRET}, PROPERTIES[PROXY_URL])
    assert text_of(value) == shown(value) == "http://***@proxy.example:3128"


@given(st.text(max_size=60), st.sampled_from(sorted(PROPERTIES)))
def test_any_text_is_a_value_that_can_be_read_again_or_refused(text, name):
    try:
        value = parse(PROPERTIES[name], text)
    except InvalidSetting:
        return
    assert value_of({name: value}, PROPERTIES[name]) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    st.sampled_from(sorted(PROPERTIES)),
)
def test_whatever_an_editor_left_in_the_file_is_read_or_refused(content, name):
    try:
        local_policy.reported({name: content}, NO_PROXY)
    except InvalidSetting:
        pass


def test_extensions_are_allowed_by_default():
    assert local_policy.extension({}, "Microsoft.Azure.Extensions", "CustomScript").allowed


@pytest.mark.parametrize(
    ("settings", "allowed", "rule"),
    [
        ({ALLOWLIST: ["a.b/C"]}, True, ""),
        ({ALLOWLIST: ["A.B/D"]}, False, ALLOWLIST),
        ({ALLOWLIST: ["A.B/C"], BLOCKLIST: ["a.b/c"]}, False, BLOCKLIST),
        ({ALLOWLIST: ["Allow/None"]}, False, ALLOWLIST),
        ({BLOCKLIST: ["A.B/D"]}, True, ""),
        ({EXTENSIONS_ENABLED: False}, False, EXTENSIONS_ENABLED),
        ({MODE: "monitor", ALLOWLIST: ["A.B/C"]}, False, MODE),
    ],
)
def test_lists_decide_and_the_blocklist_wins(settings, allowed, rule):
    verdict = local_policy.extension(settings, "A.B", "C")
    assert verdict.allowed is allowed
    assert rule in verdict.rule


def test_the_mode_monitor_allows_what_observes_and_nothing_else():
    settings = {MODE: "monitor"}
    assert local_policy.extension(settings, "Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent").allowed
    assert not local_policy.guest_configuration(settings).allowed
    assert not incoming(settings).enabled


def test_lists_cannot_be_changed_in_the_mode_monitor_and_come_back_with_full():
    settings = {MODE: "monitor", ALLOWLIST: ["A/B"]}
    with pytest.raises(InvalidSetting, match=r"config\.mode full"):
        assign(settings, PROPERTIES[ALLOWLIST], "C/D", add=True)
    assert local_policy.allowlist({**settings, MODE: "full"}) == ["A/B"]


def test_nothing_allowed_stands_alone():
    with pytest.raises(InvalidSetting, match="alone"):
        assign({ALLOWLIST: ["A/B"]}, PROPERTIES[ALLOWLIST], "Allow/None", add=True)
    with pytest.raises(InvalidSetting, match="allowlist"):
        assign({}, PROPERTIES[BLOCKLIST], "Allow/None")


def test_the_settings_win_over_the_environment():
    environment = Proxy("http://other:1", ("internal",))
    used = local_policy.proxy({PROXY_URL: SECRET, PROXY_BYPASS: ["Arc", "10.0.0.0/8"]}, environment)
    assert used.url == SECRET
    assert used.shown == "http://proxy.example:3128"
    assert not used.serves("10.1.2.3") and not used.serves("internal") and used.serves("11.1.2.3")
    assert local_policy.proxy({}, environment) == environment


def test_words_for_services_stand_for_this_clouds_names():
    used = Proxy("http://p:1", ("AAD", "ARM", "AMA")).expanded({"aad": ["login.x"], "arm": ["management.x"]})
    assert used.bypass == ("login.x", "management.x")
    assert used.serves("relay.x") and not used.serves("login.x")


@pytest.mark.parametrize(
    ("entry", "host", "direct"),
    [
        ("example.com", "a.example.com", True),
        (".example.com", "example.com", True),
        ("*.example.com", "b.a.example.com", True),
        ("example.com", "notexample.com", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "ten.example", False),
        ("fd00::/8", "[fd00::1]", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("*", "anything", True),
        (".", "anything", False),
    ],
)
def test_bypass_lists_know_suffixes_and_networks(entry, host, direct):
    assert Proxy("http://p:1", (entry,)).serves(host) is not direct


def test_what_is_reported_is_what_the_settings_say():
    settings = {
        PROXY_BYPASS: ["Arc"],
        BLOCKLIST: ["A.B/C"],
        "incomingconnections.ports": ["22"],
        GUEST_ENABLED: False,
    }
    found = local_policy.reported(settings, Proxy(SECRET, ("Arc",)))
    assert found == {
        "proxyUrl": "http://proxy.example:3128",
        "proxyBypass": ["Arc"],
        "incomingConnectionsPorts": ["22"],
        "incomingConnectionsEnabled": "true",
        "extensionsAllowList": [],
        "extensionsBlockList": [{"publisher": "A.B", "type": "C"}],
        "extensionsEnabled": "true",
        "guestConfigurationEnabled": "false",
        "configMode": "full",
    }


def test_cpu_limits_are_percentages():
    assert local_policy.cpu_limits({EXTENSIONS_CPU: 80}) == (80, 5)
