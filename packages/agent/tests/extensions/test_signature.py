"""Only what a certificate for code signing below a trusted root has signed is a package."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.signature import verify

DAY = 86400.0


def refused(shop, now=0.0) -> str:
    package = shop.packages["1.0"][0]
    with pytest.raises(ExtensionFailed) as caught:
        verify(package, shop.roots(), time.time() + now)
    return caught.value.message


def signed(shop, **header) -> None:
    package = shop.packages["1.0"][0]
    claims = {name: getattr(package, name) for name in ("publisher", "type", "version", "digest", "size")}
    shop.replace("1.0", signature=shop.signer.sign(claims, **header))


@pytest.fixture(autouse=True)
def published(shop):
    shop.publish("1.0", b"anything")


def test_what_the_cloud_signed_is_taken(shop):
    verify(shop.packages["1.0"][0], shop.roots(), time.time())


def test_what_another_root_vouches_for_is_refused(shop, tmp_path):
    other = type(shop)(tmp_path / "other")
    package = shop.packages["1.0"][0]
    with pytest.raises(ExtensionFailed, match="no root that this machine trusts"):
        verify(package, other.roots(), time.time())
    with pytest.raises(ExtensionFailed, match="no root that this machine trusts"):
        verify(package, "", time.time())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": "1.1"}, "another version"),
        ({"publisher": "Evil"}, "another publisher"),
        ({"type": "Other"}, "another type"),
        ({"digest": "0" * 64}, "another digest"),
        ({"size": 3}, "another size"),
    ],
)
def test_a_signature_is_good_for_one_package_only(shop, change, text):
    shop.replace("1.0", **change)
    assert text in refused(shop)


def test_a_changed_statement_is_refused(shop):
    header, claims, signature = shop.packages["1.0"][0].signature.split(".")
    shop.replace("1.0", signature=f"{header}.{claims[:-4]}AAAA.{signature}")
    assert "ExtensionSignatureInvalid" in refused(shop)
    shop.replace("1.0", signature=f"{header}.{claims}.{signature[::-1]}")
    assert "ExtensionSignatureInvalid" in refused(shop)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "..", "é.é.é", "e30.e30.", "W10.W10.W10", "x" * 70_000])
def test_what_is_no_signature_is_refused(shop, text):
    shop.replace("1.0", signature=text)
    assert "is not installed" in refused(shop)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"x5c": []},
        {"x5c": "text"},
        {"x5c": ["AAAA"]},
        {"x5c": [1]},
        {"crit": ["b"]},
    ],
)
def test_other_headers_are_refused(shop, header):
    signed(shop, **header)
    assert "ExtensionSignatureInvalid" in refused(shop)


def test_a_certificate_for_another_purpose_is_refused(shop):
    signer = shop.signer
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH
    signer.leaf = signer.issue("Web", signer.key, "Issuing", signer.issuing_key, purpose=purpose)
    signed(shop)
    assert "not one for code signing" in refused(shop)


def test_a_certificate_that_has_ended_is_refused(shop):
    assert "outside its period" in refused(shop, now=31 * DAY)
    assert "outside its period" in refused(shop, now=-61 * DAY)


def test_a_signer_that_issues_for_others_without_being_a_ca_is_refused(shop):
    signer = shop.signer
    signer.issuing = signer.issue("Issuing", signer.issuing_key, "Root", signer.root_key)
    signed(shop)
    assert "is no CA" in refused(shop)


def test_a_chain_whose_names_fit_and_keys_do_not_is_refused(shop):
    signer = shop.signer
    signer.leaf = signer.issue("Code", signer.key, "Issuing", ec.generate_private_key(ec.SECP256R1()))
    signed(shop)
    assert "chain of certificates is broken" in refused(shop)
