"""The local configuration's properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.local_config import (
    ENABLED,
    PORTS,
    PROPERTIES,
    Incoming,
    InvalidSetting,
    change,
    find,
    incoming,
    parse,
    text_of,
)


@pytest.mark.parametrize(
    ("text", "ports"),
    [("22", ["22"]), ("22,2222", ["22", "2222"]), ("[22]", ["22"]), ("22, 022", ["22"]), ("", [])],
)
def test_ports_are_read(text, ports):
    assert parse(PROPERTIES[PORTS], text) == ports


@pytest.mark.parametrize("text", ["0", "65536", "ssh", "22;23", "-1", "2²", "123456"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(InvalidSetting, match="1 to 65535"):
        parse(PROPERTIES[PORTS], text)


def test_a_switch_is_true_or_false():
    assert parse(PROPERTIES[ENABLED], " False ") is False
    with pytest.raises(InvalidSetting):
        parse(PROPERTIES[ENABLED], "no")


def test_names_ignore_case_and_unknown_ones_are_refused():
    assert find("IncomingConnections.Ports").name == PORTS
    with pytest.raises(InvalidSetting, match=r"proxy\.url"):
        find("proxy.uri")


def test_defaults_allow_what_the_cloud_configures():
    assert incoming({}) == Incoming(True, ())


def test_values_from_an_editor_are_read_too():
    assert incoming({ENABLED: "false", PORTS: "22,23"}) == Incoming(False, (22, 23))
    assert incoming({PORTS: [22]}) == Incoming(True, (22,))


@pytest.mark.parametrize("settings", [{ENABLED: "maybe"}, {ENABLED: 1}, {PORTS: ["x"]}, {PORTS: {"22": 1}}])
def test_values_that_do_not_fit_are_refused(settings):
    with pytest.raises(InvalidSetting):
        incoming(settings)


def test_lists_are_added_to_and_removed_from():
    assert change(["22"], ["23", "22"], add=True, remove=False) == ["22", "23"]
    assert change(["22", "23"], ["22"], add=False, remove=True) == ["23"]
    with pytest.raises(InvalidSetting):
        change(True, False, add=True, remove=False)
    with pytest.raises(InvalidSetting):
        change(["22"], ["22"], add=True, remove=True)


@given(st.lists(st.integers(1, 65535), max_size=9))
def test_what_is_printed_can_be_read_again(ports):
    value = parse(PROPERTIES[PORTS], ",".join(str(port) for port in ports))
    assert parse(PROPERTIES[PORTS], text_of(value)) == value
