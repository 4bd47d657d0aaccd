from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

from landbridge_server.identity import keys as keys_module
from landbridge_server.identity.keys import BadSignature, SigningKeys


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def keys(keys_folder):
    return SigningKeys.open(keys_folder, lambda: 1_800_000_000.0)


def test_a_signed_token_gives_its_claims_back(keys):
    claims = {"oid": "1", "exp": 5, "text": "ä"}
    token = keys.sign(claims)
    assert keys.verify(token) == claims
    assert keys.verify(token) == claims


def test_keys_are_kept_and_readable_by_the_owner_only(tmp_path):
    token = SigningKeys.open(tmp_path, lambda: 1.0).sign({"a": 1})
    assert SigningKeys.open(tmp_path, lambda: 2.0).verify(token) == {"a": 1}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_the_jwks_holds_no_private_part_and_verifies_our_tokens(keys):
    published = keys.jwks()["keys"]
    assert all(set(key) == {"kty", "use", "alg", "kid", "n", "e"} for key in published)
    token = keys.sign({"a": 1})
    found = jws.deserialize_compact(token, RSAKey.import_key(published[-1]), algorithms=["RS256"])
    assert json.loads(found.payload) == {"a": 1}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_token_that_differs_in_any_character_is_refused(keys, data):
    token = keys.sign({"oid": "1", "tid": "2"})
    keys.verify(token)
    at = data.draw(st.integers(0, len(token) - 1))
    alphabet = "ABCabc019-_.=+/ \n\x00é"
    other = data.draw(st.sampled_from([one for one in alphabet if one != token[at]]))
    with pytest.raises(BadSignature):
        keys.verify(token[:at] + other + token[at + 1 :])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_and_nothing_else_happens(keys, text):
    with pytest.raises(BadSignature):
        keys.verify(text)


@settings(max_examples=100, deadline=None)
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.text(max_size=4)),
    )
)
def test_any_header_is_refused_under_our_own_signature_segment(keys, header):
    payload_and_signature = keys.sign({"a": 1}).split(".", 1)[1]
    with pytest.raises(BadSignature):
        keys.verify(f"{segment(header)}.{payload_and_signature}")


@pytest.mark.parametrize(
    "members", [{"crit": 5}, {"crit": [{}]}, {"crit": ["b64"], "b64": False}, {"x5c": 5}]
)
def test_odd_members_of_a_header_with_our_own_key_id_are_refused(keys, members):
    header = {"alg": "RS256", "kid": keys.jwks()["keys"][0]["kid"], **members}
    with pytest.raises(BadSignature):
        keys.verify(f"{segment(header)}.{segment({})}.AAAA")


def test_alg_none_is_refused(keys):
    key_id = keys.jwks()["keys"][0]["kid"]
    for algorithm in ("none", "None", "NONE", ""):
        unsigned = f"{segment({'alg': algorithm, 'kid': key_id})}.{segment({'a': 1})}."
        with pytest.raises(BadSignature):
            keys.verify(unsigned)


def test_the_public_key_is_no_secret_for_hs256(keys):
    published = keys.jwks()["keys"][0]
    head = f"{segment({'alg': 'HS256', 'kid': published['kid']})}.{segment({'a': 1})}"
    mac = hmac.new(json.dumps(published).encode(), head.encode(), hashlib.sha256).digest()
    with pytest.raises(BadSignature, match="not RS256"):
        keys.verify(f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_of_the_right_key_is_refused(keys, algorithm):
    key_id = keys.jwks()["keys"][0]["kid"]
    token = jws.serialize_compact(
        {"alg": algorithm, "kid": key_id}, b'{"a":1}', keys._keys[key_id], algorithms=[algorithm]
    )
    with pytest.raises(BadSignature):
        keys.verify(token)


def test_a_foreign_key_is_refused_under_our_key_id_or_its_own(keys):
    foreign_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    foreign = RSAKey(foreign_key, foreign_key)
    for key_id in (keys.jwks()["keys"][0]["kid"], foreign.thumbprint(), None, 5, ["x"]):
        header = {"alg": "RS256"} if key_id is None else {"alg": "RS256", "kid": key_id}
        head = f"{segment(header)}.{segment({'a': 1})}"
        signature = jws.serialize_compact({"alg": "RS256"}, b"{}", foreign).rpartition(".")[2]
        with pytest.raises(BadSignature):
            keys.verify(f"{head}.{signature}")
    own = jws.serialize_compact({"alg": "RS256", "kid": foreign.thumbprint()}, b'{"a":1}', foreign)
    with pytest.raises(BadSignature, match="key id"):
        keys.verify(own)


def test_a_huge_or_deeply_nested_token_is_refused(keys):
    deep = base64.urlsafe_b64encode(b"[" * 8000).rstrip(b"=").decode()
    for token in ("a" * 100_000, f"{deep}.e30.AA", f"e30.{deep}.AA"):
        with pytest.raises(BadSignature):
            keys.verify(token)


def test_the_cache_is_bounded_and_keeps_what_is_used(keys, monkeypatch):
    monkeypatch.setattr(keys_module, "CACHE_SIZE", 3)
    keys._verified.clear()
    tokens = [keys.sign({"n": number}) for number in range(4)]
    for token in (*tokens[:3], tokens[0], tokens[3]):
        keys.verify(token)
    assert [claims["n"] for claims in keys._verified.values()] == [2, 0, 3]


def test_only_octets_in_canonical_base64url_count():
    assert keys_module.canonical_segment("AA") == b"\x00"
    for other in ("AB", "AA==", "A", "A+", "A A", "é"):
        with pytest.raises(ValueError):
            keys_module.canonical_segment(other)


def test_a_key_file_that_is_not_rsa_is_named(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "signing-1.pem").write_bytes(pem)
    with pytest.raises(ValueError, match=r"signing-1\.pem does not hold an RSA"):
        SigningKeys.open(tmp_path, lambda: 1.0)


def test_octet_keys_never_verify(keys):
    key_id = keys.jwks()["keys"][0]["kid"]
    token = jws.serialize_compact(
        {"alg": "HS256", "kid": key_id}, b"{}", OctKey.import_key("s" * 32), algorithms=["HS256"]
    )
    with pytest.raises(BadSignature):
        keys.verify(token)
