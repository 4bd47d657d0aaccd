from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_client.dialling import bypassed, parse_proxy
from landbridge_client.main import parse_arguments, report
from landbridge_client.relay_info import ProxyError, check_expiry, decode

RELAY = {
    "namespaceName": "relay",
    "namespaceNameSuffix": "example.org",
    "hybridConnectionName": "a/b/",
    "accessKey": "SharedAccessSignature sr=x",
    "expiresOn": 1000,
    "serviceConfigurationToken": "jwt",
}


def test_what_az_ssh_hands_over_is_read() -> None:
    info = decode(base64.b64encode(json.dumps({"relay": RELAY}).encode()) + b"\n")
    assert (info.host, info.port, info.path, info.token) == ("relay.example.org", 443, "a/b", "jwt")
    assert info.authority == "relay.example.org"
    assert (info.ca_file, info.refresh) == ("", [])


def test_a_port_in_the_suffix_counts_and_a_missing_token_is_none() -> None:
    body = {**RELAY, "namespaceName": "127", "namespaceNameSuffix": "0.0.1:9443"}
    del body["serviceConfigurationToken"]
    info = decode(json.dumps({"relay": body}).encode())
    assert (info.host, info.port, info.authority, info.token) == ("127.0.0.1", 9443, "127.0.0.1:9443", "")


def test_a_line_break_in_a_member_cannot_become_a_header() -> None:
    with pytest.raises(ProxyError, match="accessKey"):
        decode(json.dumps({"relay": {**RELAY, "accessKey": "x\r\nHost: evil"}}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ProxyError):
        decode(data)


def test_expired_credentials_say_what_to_do() -> None:
    info = decode(json.dumps({"relay": RELAY}).encode())
    check_expiry(info, 999)
    with pytest.raises(ProxyError, match="expired 5 s ago; get new ones"):
        check_expiry(info, 1005)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://proxy:3128", ("proxy", 3128, b"")),
        ("proxy:3128/", ("proxy", 3128, b"")),
        ("http://proxy", ("proxy", 80, b"")),
        ("http://u%40x:p%3A@proxy:1", ("proxy", 1, b"u@x:p:")),
        ("http://[::1]:3128", ("::1", 3128, b"")),
    ],
)
def test_a_proxy_is_read(text: str, found: tuple[str, int, bytes]) -> None:
    assert parse_proxy(text) == found


def test_a_socks_proxy_is_refused_by_name() -> None:
    with pytest.raises(ProxyError, match="not socks5://"):
        parse_proxy("socks5://proxy:1080")


@pytest.mark.parametrize(
    ("rules", "passed"),
    [
        ("", False),
        ("*", True),
        ("relay.example.org", True),
        ("example.org", True),
        (".example.org, other", True),
        ("*.example.org", True),
        ("ample.org", False),
        ("other,RELAY.Example.ORG:443", True),
        ("relay.example.org:80", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(rules: str, passed: bool) -> None:
    assert bypassed("Relay.example.org", 443, rules) is passed


def test_arguments_take_both_forms() -> None:
    assert parse_arguments([]) == ("", 22)
    assert parse_arguments(["-r", "file", "-p", "2222"]) == ("file", 2222)
    assert parse_arguments(["--relay-info=file", "--port=2222"]) == ("file", 2222)


def test_a_report_is_one_line_in_the_order_that_az_ssh_expects() -> None:
    assert report('a "b"\nc', 0) == '{"level":"fatal","msg":"a \\"b\\" c","time":"1970-01-01T00:00:00Z"}'
