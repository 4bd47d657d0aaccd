from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.relay.names import hybrid_connection_path, principal_of, split_entity
from landbridge_server.relay.sas import Grant, SasError, audience_covers, mint, rule_key, verify

MASTER = b"m" * 32
PATH = hybrid_connection_path("ABCDEF01-0000-0000-0000-000000000000")
NOW = 1_800_000_000.0


def token(rule: str = "listen", path: str = PATH, ends: int = int(NOW) + 60, host: str = "relay.test") -> str:
    return mint(f"http://{host}/{path}/", rule, rule_key(MASTER, path, rule), ends)


def test_a_minted_token_has_azures_form_and_verifies() -> None:
    text = token("send.user")
    assert text.startswith(
        f"SharedAccessSignature sr=http%3A%2F%2Frelay.test%2F{quote(PATH, safe='')}%2F&sig="
    )
    assert verify(text, MASTER, PATH, {"relay.test"}, NOW) == Grant("send.user", int(NOW) + 60)


def test_a_grant_knows_its_right() -> None:
    assert Grant("listen", 1).listens and Grant("listen", 1).sender is None
    assert Grant("send.me", 1).sender == "me" and not Grant("send.me", 1).listens
    assert Grant("other", 1).sender is None and not Grant("other", 1).listens


@pytest.mark.parametrize(
    "resource",
    [
        quote(f"http://relay.test/{PATH}", safe=""),  # Node: %3A
        quote(f"http://relay.test/{PATH}", safe="").lower(),  # .NET: %3a
        quote(f"http://RELAY.test:9443/{PATH.upper()}", safe=""),
        quote("http://relay.test", safe=""),  # hyco-ws listeners sign the namespace
        quote("sb://relay.test/", safe=""),
        quote("http://relay.test/microsoft.hybridcompute", safe=""),
    ],
)
def test_the_signature_covers_the_resource_as_it_was_sent(resource: str) -> None:
    key = rule_key(MASTER, PATH, "listen")
    digest = hmac.new(key.encode(), f"{resource}\n{int(NOW) + 60}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    text = f"SharedAccessSignature sr={resource}&sig={signature}&se={int(NOW) + 60}&skn=listen"
    assert verify(text, MASTER, PATH, {"relay.test"}, NOW).listens
    shuffled = f"SharedAccessSignature skn=listen&se={int(NOW) + 60}&sig={signature}&sr={resource}"
    assert verify(shuffled, MASTER, PATH, (), NOW).listens


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "MissingToken"),
        ("   ", "MissingToken"),
        ("Bearer eyJ", "MalformedToken"),
        ("SharedAccessSignature sr=a&sig=b&se=1", "MalformedToken"),
        ("SharedAccessSignature", "MalformedToken"),
        (token() + "x" * 5000, "MalformedToken"),
        (token().replace("listen", "send.x"), "InvalidSignature"),
        (token().replace("&se=18", "&se=19"), "InvalidSignature"),
        (token(ends=int(NOW)), "ExpiredToken"),
        (token(path=PATH[:-1] + "1"), "InvalidSignature"),
        (token(host="other.test"), "InvalidAudience"),
        (
            mint("http://relay.test/other", "listen", rule_key(MASTER, PATH, "listen"), 1 << 40),
            "InvalidAudience",
        ),
        (token(ends=1 << 60), "MalformedToken"),
        (token(ends=-5), "MalformedToken"),
    ],
)
def test_what_does_not_verify_is_401_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(SasError, match=reason) as error:
        verify(text, MASTER, PATH, {"relay.test"}, NOW)
    assert error.value.status == 401


def test_another_master_secret_voids_every_token() -> None:
    with pytest.raises(SasError, match="InvalidSignature"):
        verify(token(), b"n" * 32, PATH, (), NOW)


@given(st.text(max_size=200))
def test_any_text_is_verified_or_refused(text: str) -> None:
    for candidate in (text, "SharedAccessSignature " + text, token() + text):
        try:
            assert verify(candidate, MASTER, PATH, (), NOW).rule == "listen"
        except SasError:
            pass


@pytest.mark.parametrize(
    ("uri", "covers"),
    [
        ("http://h/a/b", True),
        ("http://h/a/", True),
        ("http://h/a", True),
        ("http://h", True),
        ("http://h/a/bb", False),
        ("http://h/a/b/c", False),
        ("http:///a/b", False),
        ("http://[broken/a", False),
        ("http://g/a/b", False),
    ],
)
def test_an_audience_covers_whole_segments_below_it(uri: str, covers: bool) -> None:
    assert audience_covers(uri, "a/b", {"h"}) is covers


def test_rules_and_paths_have_keys_of_their_own() -> None:
    keys = {rule_key(MASTER, path, rule) for path in ("a", "b") for rule in ("listen", "send.x")}
    assert len(keys) == 4


def test_a_path_is_split_into_entity_and_suffix() -> None:
    assert split_entity(f"/{PATH.upper()}/more/") == (PATH, "more")
    assert split_entity(PATH) == (PATH, "")
    assert split_entity("foreign/Name") == ("foreign/name", "")
    assert split_entity("") == ("", "")
    assert principal_of(PATH) == "abcdef01-0000-0000-0000-000000000000"
    assert principal_of("foreign/name") is None
