from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.identity import scopes
from landbridge_server.identity.errors import OAuthError

audiences = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=60)
words = st.lists(st.sampled_from(sorted(scopes.OPENID_WORDS)), unique=True)


@given(audiences, words)
def test_the_audience_is_what_is_left_when_one_default_is_cut_off(audience, extra):
    scope = scopes.parse(" ".join([f"{audience}/.default", *extra]))
    assert scope.audience == audience
    assert scope.words == tuple(extra)
    assert scope.granted == f"{audience}/.default"


@pytest.mark.parametrize(
    ("asked", "audience"),
    [
        ("https://x/.default", "https://x"),
        ("https://x//.default", "https://x/"),
        ("https://x/.default/.default", "https://x/.default"),
        ("https://x/user_impersonation", "https://x"),
        ("api://landbridge-agent/.default", "api://landbridge-agent"),
    ],
)
def test_audiences_keep_their_final_slash(asked, audience):
    assert scopes.parse(asked).audience == audience


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_as_an_invalid_scope(text):
    try:
        scope = scopes.parse(text)
    except OAuthError as error:
        assert (error.error, error.number) == ("invalid_scope", 70011)
    else:
        assert scopes.parse(scope.text) == scope
        assert scope.granted


@given(audiences, words)
def test_a_scope_written_down_reads_back_the_same(audience, extra):
    for scope in (scopes.parse(" ".join([f"{audience}/.default", *extra])), scopes.parse_resource(audience)):
        assert scopes.parse(scope.text) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "User.Read",
        "/.default",
        "https://a/.default https://b/.default",
        "https://a/read",
        "x" * 5000,
    ],
)
def test_what_is_no_scope_is_refused(text):
    with pytest.raises(OAuthError, match="AADSTS70011"):
        scopes.parse(text)


def test_openid_alone_names_no_audience():
    scope = scopes.parse("openid profile")
    assert (scope.audience, scope.openid, scope.offline, scope.granted) == ("", True, False, "openid profile")


def test_a_resource_always_brings_id_token_and_refresh_token():
    scope = scopes.parse_resource("https://x/")
    assert (scope.audience, scope.openid, scope.offline) == ("https://x/", True, True)


@pytest.mark.parametrize("text", ["", " ", "a b", " a", "x" * 5000])
def test_a_resource_is_one_word(text):
    with pytest.raises(OAuthError, match="AADSTS70011"):
        scopes.parse_resource(text)
