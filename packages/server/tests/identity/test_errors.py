from __future__ import annotations

import re
import string
from pathlib import Path

from landbridge_server.identity.errors import REFUSALS, OAuthError, Stamp, refuse

ROOT = Path(__file__).resolve().parents[4]

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


def test_every_refusal_is_seen_in_some_test():
    folders = (ROOT / "packages/server/tests", ROOT / "tests")
    said = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    assert [number for number in REFUSALS if not re.search(rf"(?<!\d){number}(?!\d)", said)] == []


def test_every_test_on_the_list_of_refusals_exists():
    rows = re.findall(r"\| `(\S+)::(\w+)` \|", (ROOT / "docs/sign-in/refusals.md").read_text())
    assert len(rows) > 40
    for file, name in rows:
        path = ROOT / file.replace("identity/", "packages/server/tests/identity/", 1)
        assert f"def {name}(" in path.read_text(), (file, name)
