from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.relay.sas import verify

MASTER = b"m" * 32
PATH = hybrid_connection_path("m1")
NOW = 1_800_000_000.5


@pytest.mark.parametrize("host", ["relay.test", "relay.test:9443"])
def test_send_credentials_name_their_caller_and_end(host: str) -> None:
    found = RelayCredentials(MASTER, host).send_credentials(PATH, "user", 3600, NOW)
    grant = verify(found.access_key, MASTER, PATH, {"relay.test"}, NOW)
    assert (grant.sender, grant.expires_on) == ("user", found.expires_on) == ("user", 1_800_003_600)
    assert "sr=http%3A%2F%2Frelay.test%2Fmicrosoft.hybridcompute%2Fmachines%2Fm1%2F&" in found.access_key
    assert "sig" not in repr(found)


def test_no_send_credentials_live_longer_than_three_hours() -> None:
    found = RelayCredentials(MASTER, "h").send_credentials(PATH, "user", 10**9, NOW)
    assert found.expires_on == 1_800_000_000 + 10800


def test_listen_credentials_listen() -> None:
    token, ends = RelayCredentials(MASTER, "h").listen_credentials(PATH, 60, NOW)
    grant = verify(token, MASTER, PATH, {"h"}, NOW)
    assert grant.listens
    assert grant.expires_on == ends == 1_800_000_060


def test_a_service_configuration_token_is_a_jwt_the_machine_can_verify() -> None:
    credentials = RelayCredentials(MASTER, "h")
    token = credentials.service_configuration_token(PATH, "SSH", 22, "user", 1_800_000_060)
    header, claims, signature = token.split(".")

    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    assert json.loads(decoded(header)) == {"alg": "HS256", "typ": "JWT"}
    body = json.loads(decoded(claims))
    assert body.pop("jti")
    assert body == {"aud": PATH, "service": "SSH", "port": 22, "sub": "user", "exp": 1_800_000_060}
    key = credentials.service_configuration_key(PATH)
    assert decoded(signature) == hmac.new(key, f"{header}.{claims}".encode(), hashlib.sha256).digest()
    assert key != credentials.service_configuration_key(hybrid_connection_path("m2"))
