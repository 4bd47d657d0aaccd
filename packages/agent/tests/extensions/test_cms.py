"""Envelopes are CMS as others read it, and open here again."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge_agent.extensions import cms, machine_key


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    own = machine_key.obtain(folder, time.time())
    return own.certificate, machine_key.load_key(folder, own.thumbprint)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 127, 128, 255, 256, 70_000])
def test_what_is_sealed_opens_here_and_elsewhere(pair, size):
    certificate, key = pair
    content = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    sealed = cms.seal(content, certificate)
    assert cms.open_sealed(sealed, key) == content
    if hasattr(pkcs7, "pkcs7_decrypt_der"):
        assert pkcs7.pkcs7_decrypt_der(sealed, certificate, key, []) == content


def test_another_key_opens_nothing(pair):
    sealed = cms.seal(b"secret", pair[0])
    with pytest.raises(cms.NotOpened):
        cms.open_sealed(sealed, rsa.generate_private_key(65537, 2048))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400), st.integers(min_value=0, max_value=500))
def test_what_is_no_envelope_is_refused_and_nothing_else(pair, noise, at):
    sealed = cms.seal(b"secret", pair[0])
    for broken in (noise, sealed[:at], sealed[:at] + noise + sealed[at + len(noise) :]):
        try:
            cms.open_sealed(broken, pair[1])
        except cms.NotOpened:
            continue


def test_the_pair_is_made_once_and_again_when_it_is_damaged(tmp_path):
    first = machine_key.obtain(tmp_path, time.time())
    assert machine_key.obtain(tmp_path, time.time()).thumbprint == first.thumbprint
    (tmp_path / f"{first.thumbprint}.prv").write_text("damaged")
    assert machine_key.obtain(tmp_path, time.time()).thumbprint != first.thumbprint


def test_only_rsa_keys_are_sealed_for(shop):
    assert isinstance(shop.signer.leaf.public_key(), ec.EllipticCurvePublicKey)
    with pytest.raises(ValueError, match="not RSA"):
        cms.seal(b"x", shop.signer.leaf)
