from __future__ import annotations

import pytest

from landbridge_wire.errors import STATUS, ArmError, envelope, unverified_error


def test_the_status_follows_from_the_code():
    assert ArmError("ResourceGroupNotFound", "Resource group 'g' could not be found.").status == 404


def test_a_code_outside_the_closed_list_cannot_be_raised():
    with pytest.raises(KeyError):
        ArmError("MadeUpOnTheSpot", "x")


def test_the_envelope_leaves_out_what_is_empty_and_what_is_internal():
    error = ArmError("BadRequest", "No.", internal="the secret reason")
    assert envelope(error) == {"error": {"code": "BadRequest", "message": "No."}}


def test_details_and_target_are_carried():
    inner = ArmError("MissingSubscriptionRegistration", "m", target="NS")
    body = envelope(ArmError("MissingSubscriptionRegistration", "m", details=(inner,)))
    assert body["error"]["details"] == [
        {"code": "MissingSubscriptionRegistration", "message": "m", "target": "NS"}
    ]


def test_every_status_is_an_error_status():
    assert all(400 <= status <= 599 for status in STATUS.values())


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ({"error": {"code": "A", "message": "b"}}, ("A", "b")),
        ({"code": "A", "message": "b"}, ("A", "b")),
        (
            {"error": "invalid_client", "error_description": "AADSTS7000215: no"},
            ("invalid_client", "AADSTS7000215: no"),
        ),
        (["x"], ("", "")),
        (None, ("", "")),
    ],
)
def test_error_bodies_of_any_shape_can_be_read(body, read):
    assert unverified_error(body) == read
