"""Requests that the metadata and token service refuses, each in words, before anything is proven."""

from __future__ import annotations

import asyncio

import pytest

QUERY = "api-version=2020-06-01&resource=https://management.example/"
TOKEN = "/metadata/identity/oauth2/token"
METADATA = {"Metadata": "true"}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "metadata header"),
        ({"Metadata": "false"}, "metadata header"),
        ({**METADATA, "Host": "evil.example"}, "Host"),
        ({**METADATA, "Host": "localhost.evil.example"}, "Host"),
        ({**METADATA, "Host": "localhost:1"}, "Host"),
        ({**METADATA, "Host": ""}, "Host"),
        ({**METADATA, "Host": None}, "Host"),
        ({**METADATA, "X-Forwarded-For": "10.0.0.1"}, "X-Forwarded-For"),
        ({**METADATA, "Forwarded": "for=10.0.0.1"}, "Forwarded"),
        ({**METADATA, "Via": "1.1 proxy"}, "Via"),
    ],
)
async def test_what_another_machine_or_a_page_may_have_sent_is_refused(azcmagent, headers, words, serving):
    async with serving(azcmagent.paths) as local:
        for path in (f"{TOKEN}?{QUERY}", "/metadata/instance?api-version=2020-06-01"):
            answer = await local.get(path, headers)
            assert answer.status == 400
            assert words in answer.body["error_description"]
            assert "Www-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{TOKEN}?resource=x", 400, "Supported are 2019-03-11"),
        (f"{TOKEN}?api-version=1999-01-01&resource=x", 400, "Supported are 2019-03-11"),
        ("/metadata/instance", 400, "Supported are 2019-03-11"),
        (f"{TOKEN}?api-version=2020-06-01", 400, "resource"),
        (f"{TOKEN}?api-version=2020-06-01&resource=", 400, "resource"),
        (f"{TOKEN}?api-version=2020-06-01&resource=a%20b", 400, "resource"),
        (f"{TOKEN}?api-version=2020-06-01&resource=a%0Ab", 400, "resource"),
        (f"{TOKEN}?api-version=2020-06-01&resource={'x' * 600}", 400, "resource"),
        (f"{TOKEN}?api-version=2020-06-01&resource=a&resource=b", 400, "twice"),
        (f"{TOKEN}?api-version=2020-06-01&resource=%ff", 400, "decode"),
        (f"{TOKEN}?{QUERY}", 400, "not connected"),
        ("/metadata/instance?api-version=2020-06-01", 400, "not connected"),
        ("/metadata/loadbalancer?api-version=2020-06-01", 404, TOKEN),
        ("/", 404, TOKEN),
        ("/metadata/instancex?api-version=2020-06-01", 404, TOKEN),
        (f"http://localhost{TOKEN}?{QUERY}", 400, "as for a proxy"),
    ],
)
async def test_bad_requests_are_refused_in_words(azcmagent, path, status, words, serving):
    async with serving(azcmagent.paths) as local:
        answer = await local.get(path)
        assert answer.status == status
        assert words in answer.body["error_description"]


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "HEAD", "CONNECT"])
async def test_only_get_is_answered(azcmagent, method, serving):
    async with serving(azcmagent.paths) as local:
        answer = await local.get(f"{TOKEN}?{QUERY}", method=method)
        assert answer.status == 405
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET /?" + b"a=b&" * 40 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_what_is_no_http_request_is_refused(azcmagent, data, status, serving):
    async with serving(azcmagent.paths) as local:
        assert (await local.raw(data)).split(b" ")[1] == status


async def test_many_silent_connections_keep_nobody_out(azcmagent, serving):
    async with serving(azcmagent.paths) as local:
        silent = [await asyncio.open_connection("127.0.0.1", local.port) for _ in range(100)]
        try:
            assert (await local.get("/agentstatus", {})).status == 200
        finally:
            for _, writer in silent:
                writer.close()
