from __future__ import annotations

import base64
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.identity import forms
from landbridge_server.identity.errors import OAuthError

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50)


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@given(st.dictionaries(texts, texts, max_size=20))
def test_a_form_reads_back_as_it_was_sent(form):
    assert forms.parse("application/x-www-form-urlencoded; charset=UTF-8", urlencode(form).encode()) == form


@given(st.binary(max_size=300))
def test_any_body_is_read_or_refused(body):
    try:
        forms.parse(forms.CONTENT_TYPE, body)
    except OAuthError as error:
        assert error.error == "invalid_request"


def test_an_empty_body_is_a_form_without_fields():
    assert forms.parse(forms.CONTENT_TYPE, b"") == forms.parse("", b"  ") == {}


def test_a_parameter_without_a_value_counts_as_not_sent():
    assert forms.parse(forms.CONTENT_TYPE, b"a=&b=1") == {"b": "1"}
    with pytest.raises(OAuthError, match=r"AADSTS900144.*'a'"):
        forms.need({"b": "1"}, "a")


@pytest.mark.parametrize(
    ("content_type", "body", "number"),
    [
        ("application/json", b"{}", 9002313),
        ("", b"a=1", 9002313),
        (forms.CONTENT_TYPE, b"a=1&a=2", 90100),
        (forms.CONTENT_TYPE, b"no form at all", 9002313),
        (forms.CONTENT_TYPE, b"a=%ff", 9002313),
        (forms.CONTENT_TYPE, b"\xff=1", 9002313),
        (forms.CONTENT_TYPE, b"&".join(b"k%d=1" % one for one in range(100)), 9002313),
        (forms.CONTENT_TYPE, b"a=" + b"x" * 70_000, 9002313),
    ],
)
def test_what_is_no_form_is_refused(content_type, body, number):
    with pytest.raises(OAuthError) as refusal:
        forms.parse(content_type, body)
    assert refusal.value.number == number


@given(texts, texts)
def test_a_client_may_send_its_secret_by_http_basic(client_id, secret):
    found = forms.with_basic({"scope": "s"}, basic(client_id, secret))
    assert found == {"scope": "s", "client_id": client_id, "client_secret": secret}


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ({}, "Bearer abc"),
        ({}, "Basic"),
        ({}, "Basic !!!"),
        ({}, "Basic " + base64.b64encode(b"no colon").decode()),
        ({}, "Basic " + base64.b64encode(b"\xff:\xff").decode()),
        ({"client_secret": "s"}, basic("a", "b")),
        ({"client_id": "other"}, basic("a", "b")),
    ],
)
def test_a_malformed_or_second_client_is_refused(form, header):
    with pytest.raises(OAuthError, match="AADSTS9002313"):
        forms.with_basic(form, header)


def test_without_a_header_the_form_stays():
    assert forms.with_basic({"a": "1"}, "") == {"a": "1"}
