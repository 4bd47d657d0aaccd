from __future__ import annotations

import string

from landbridge_server.identity.errors import REFUSALS, OAuthError, Stamp, refuse

# RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, OpenID Connect, and what Azure adds.
WORDS = {
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
    *("unsupported_grant_type", "invalid_scope", "temporarily_unavailable"),
    *("authorization_pending", "slow_down", "access_denied", "expired_token"),
    *("unsupported_response_type", "login_required", "interaction_required"),
    *("invalid_tenant", "invalid_resource"),
}


def test_every_refusal_has_a_word_of_the_standards_and_a_status_that_fits():
    for number, row in REFUSALS.items():
        assert row.number == number
        assert row.error in WORDS
        assert row.status == (401 if row.error == "invalid_client" else row.status)
        assert row.status in (400, 401, 503)


def test_every_text_can_be_filled_in():
    for number, row in REFUSALS.items():
        names = {name for _text, name, _spec, _conversion in string.Formatter().parse(row.text) if name}
        error = refuse(number, **dict.fromkeys(names, "X"))
        assert "{" not in error.description


def test_the_body_has_the_members_that_clients_read():
    error = OAuthError("invalid_grant", 50126, "Wrong.")
    assert error.to_json(Stamp(0.0, "t", "c")) == {
        "error": "invalid_grant",
        "error_description": "AADSTS50126: Wrong.",
        "error_codes": [50126],
        "timestamp": "1970-01-01 00:00:00Z",
        "trace_id": "t",
        "correlation_id": "c",
    }
    assert error.status == 400
    assert len(error.to_json()["trace_id"]) == 36
