from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from landbridge_server.cli import up
from landbridge_server.config import Address, ConfigError


def settings(*arguments: str):
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    return up.config_of(parser.parse_args(arguments))


def test_without_arguments_it_serves_localhost_from_one_origin():
    config = settings()
    names = config.endpoints
    assert config.listen == Address("127.0.0.1", 9443)
    assert names.resource_manager == names.login == names.portal == "https://localhost:9443"
    assert (names.adfs, names.graph) == ("https://localhost:9443/adfs", "https://localhost:9443/graph")
    assert config.data == Path(".landbridge").absolute()


def test_the_relay_name_of_localhost_splits_into_127_and_its_rest():
    names = settings("--listen", "127.0.0.1:9555").endpoints
    assert (names.relay_namespace, names.relay_suffix) == ("127", "0.0.1:9555")


def test_a_relay_host_splits_at_its_first_dot_and_hides_port_443():
    names = settings("--relay-host", "relay.east.example.org:443").endpoints
    assert (names.relay_namespace, names.relay_suffix) == ("relay", "east.example.org")


def test_a_relay_port_of_its_own_is_announced():
    names = settings("--relay-listen", "127.0.0.1:9444").endpoints
    assert names.relay_suffix == "0.0.1:9444"


def test_a_domain_gives_every_service_a_name_with_the_port():
    config = settings("--domain", "Local.AzureStack.External", "--listen", "127.0.0.1:9443")
    names = config.endpoints
    assert names.resource_manager == "https://management.local.azurestack.external:9443"
    assert names.adfs == "https://adfs.local.azurestack.external:9443/adfs"
    assert names.relay == "relay.local.azurestack.external:9443"
    for word in ("management", "adminmanagement", "login", "adfs", "graph", "portal", "relay"):
        assert f"{word}.local.azurestack.external" in config.server_names()


def test_port_443_is_not_written_into_the_names_of_a_domain():
    names = settings("--domain", "cloud.example", "--listen", "0.0.0.0:443").endpoints
    assert names.login == "https://login.cloud.example"


def test_the_external_url_decides_the_names_and_is_covered_by_the_certificate():
    config = settings("--external-url", "https://Cloud.Example.org:8443/")
    assert config.endpoints.resource_manager == "https://cloud.example.org:8443"
    assert {"cloud.example.org", "localhost", "127.0.0.1", "::1"} <= set(config.server_names())


def test_an_ipv6_address_stands_in_brackets_and_needs_a_name_for_the_relay():
    config = settings("--listen", "[::1]:9443", "--relay-host", "relay.example:9443")
    assert config.listen == Address("::1", 9443)
    assert config.endpoints.relay == "relay.example:9443"


def test_audiences_are_accepted_with_and_without_a_final_slash():
    names = settings("--audience", "https://management.azure.com/").endpoints
    for audience in ("https://localhost:9443", "https://management.azure.com"):
        assert audience in names.audiences
        assert audience + "/" in names.audiences


@pytest.mark.parametrize(
    "arguments",
    [
        ("--external-url", "http://cloud.example"),
        ("--external-url", "https://cloud.example/path"),
        ("--listen", "nowhere"),
        ("--listen", "127.0.0.1:99999"),
        ("--listen", "::1:9443"),
        ("--listen", "[::1:9443"),
        ("--listen", "[::1]:9443"),
        ("--external-url", "https://[2001:db8::1]:9443"),
        ("--external-url", "https://cloud.example:port"),
        ("--external-url", "https://[::1"),
        ("--external-url", "https://user:word@cloud.example"),
        ("--domain", "two words"),
        ("--relay-host", "two words:443"),
        ("--locations", "a,,b"),
        ("--tls-cert", "x.pem"),
        ("--relay-host", "relay.example"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments):
    with pytest.raises(ConfigError):
        _ = settings(*arguments).endpoints


def test_what_one_caller_may_send_is_bounded_unless_it_is_said_otherwise():
    assert settings().requests_per_second == 2000.0
    assert settings("--requests-per-second", "0").requests_per_second == 0
    for wrong in ("-1", "inf", "nan"):
        with pytest.raises(ConfigError, match="--requests-per-second"):
            settings(f"--requests-per-second={wrong}")
