from __future__ import annotations

import pytest

from landbridge_server.config import Config, ConfigError
from landbridge_server.edge.proxies import TrustedProxies
from landbridge_server.testing import ControlPlane

PROXIES = TrustedProxies(["10.0.0.0/29", "fd00::7"])


@pytest.mark.parametrize(
    ("peer", "fields", "caller"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.66, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.66", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9:5123"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("fd00::7", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_last_address_that_is_no_proxys_is_the_callers(peer, fields, caller):
    assert PROXIES.caller(peer, fields) == caller


def test_without_proxies_nobodys_word_counts():
    assert TrustedProxies([]).caller("10.0.0.1", ["203.0.113.9"]) == "10.0.0.1"


@pytest.mark.parametrize("text", ["", "proxy.example", "10.0.0.1/33", "10.0.0.1/29"])
def test_what_is_no_address_is_refused_at_the_start(tmp_path, text):
    with pytest.raises(ConfigError, match="--trusted-proxy"):
        Config(data=tmp_path, trusted_proxies=(text,))


AZ = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


async def guess(cloud: ControlPlane, forwarded: str) -> None:
    form = {
        "grant_type": "password", "client_id": AZ, "username": cloud.admin["userName"], "password": "wrong",
        "scope": f"{cloud.config.endpoints.audience}/.default",
    }  # fmt: skip
    path = f"/{cloud.admin['tenantId']}/oauth2/v2.0/token"
    answer = await cloud.client.post(path, data=form, headers={"x-forwarded-for": forwarded})
    assert answer.status_code == 400 and "AADSTS50126" in answer.text


async def test_the_back_off_counts_the_address_that_a_trusted_proxy_names(tmp_path):
    async with ControlPlane(tmp_path, trusted_proxies=("127.0.0.1",)) as cloud:
        await guess(cloud, "198.51.100.66, 203.0.113.9")
        assert cloud.plane.addresses.suspicious("203.0.113.9")
        assert not cloud.plane.addresses.suspicious("198.51.100.66")
        assert not cloud.plane.addresses.suspicious("127.0.0.1")


async def test_a_header_of_somebody_else_is_ignored(tmp_path):
    async with ControlPlane(tmp_path, trusted_proxies=("10.0.0.0/29",)) as cloud:
        await guess(cloud, "203.0.113.9")
        assert cloud.plane.addresses.suspicious("127.0.0.1")
        assert not cloud.plane.addresses.suspicious("203.0.113.9")
