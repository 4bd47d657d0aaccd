"""Patience with a busy cloud, against connections that answer what a test tells them to."""

from __future__ import annotations

import http.client
import json
import ssl

import pytest

from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.arm_client import Arm
from landbridge_server.cli.arm_connections import PATIENCE, Connections, Refused, Workers

BUSY = (429, {"Retry-After": "7"}, {"error": {"code": "SubscriptionRequestsThrottled", "message": "wait"}})
GONE = (404, {}, {"error": {"code": "ResourceNotFound", "message": "It is not there."}})
EXPIRED = (401, {}, {"error": {"code": "ExpiredAuthenticationToken", "message": "old"}})
GOOD = (200, {}, {"name": "web1"})


class Answer:
    will_close = False

    def __init__(self, status, headers, body):
        self.status, self._headers, self._body = status, headers, json.dumps(body).encode()

    def read(self, limit):
        return self._body

    def getheaders(self):
        return list(self._headers.items())


class Cloud(Connections):
    """Connections to nobody: each request takes the next of the answers, or raises it."""

    def __init__(self, *answers):
        self.now, self.slept, self.opened, self.tokens, self.answers = 0.0, [], 0, [], list(answers)
        context = ssl.create_default_context()
        super().__init__(
            Arm("https://cloud.example:9443", "s", None, "first", context),
            lambda: Arm("https://cloud.example:9443", "s", None, "second", context),
            lambda: self.now,
            self.sleep,
        )

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def _connect(self):
        self.opened += 1
        self._own.connection = self
        return self

    def request(self, method, path, body, headers):
        self.tokens.append(headers["Authorization"])

    def getresponse(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(*answer)

    def close(self):
        """Nothing is open."""


def test_a_busy_cloud_is_asked_again_when_it_says():
    cloud = Cloud(BUSY, GOOD)
    assert cloud.call("GET", "/x") == {"name": "web1"}
    assert cloud.slept == [7.0]


def test_a_connection_that_was_closed_while_idle_is_opened_again_without_a_pause():
    cloud = Cloud(GOOD, http.client.RemoteDisconnected("idle"), GOOD)
    assert cloud.call("GET", "/x") == cloud.call("GET", "/x")
    assert (cloud.opened, cloud.slept) == (2, [])


def test_an_expired_token_is_renewed_once():
    cloud = Cloud(EXPIRED, GOOD)
    cloud.call("GET", "/x")
    assert cloud.tokens == ["Bearer first", "Bearer second"]
    with pytest.raises(Refused) as refused:
        Cloud(EXPIRED).call("GET", "/x")
    assert (refused.value.status, refused.value.code) == (401, "ExpiredAuthenticationToken")


def test_a_refusal_is_final_and_has_the_codes_of_arm():
    cloud = Cloud(GONE)
    with pytest.raises(Refused, match=r"\(ResourceNotFound\) It is not there."):
        cloud.call("DELETE", "/x")
    assert len(cloud.tokens) == 1


def test_a_cloud_that_stays_away_is_given_up_after_a_while():
    cloud = Cloud(ConnectionRefusedError("nobody"))
    with pytest.raises(Refused, match="cannot be reached") as refused:
        cloud.call("GET", "/x")
    assert refused.value.status == 0
    assert PATIENCE / 2 < cloud.now <= PATIENCE


def test_a_server_that_is_not_trusted_is_not_asked_again():
    cloud = Cloud(ssl.SSLCertVerificationError("self-signed"))
    with pytest.raises(CommandError, match="is not trusted"):
        cloud.call("GET", "/x")
    assert cloud.slept == []


def test_workers_tell_results_and_refusals_to_whoever_takes_them():
    told = []
    with Workers(2, lambda: None) as workers:
        workers.ask(lambda: 1, told.append, told.append)
        workers.ask(lambda: Cloud(GONE).call("GET", "/x"), told.append, told.append)
        while workers.open:
            assert workers.take(10)
        assert not workers.take(0)
    assert {str(one) for one in told} == {"1", "(ResourceNotFound) It is not there."}


def test_a_fault_of_ours_is_not_swallowed():
    with Workers(1, lambda: None) as workers:
        workers.ask(lambda: {}["missing"], print, print)
        with pytest.raises(KeyError):
            workers.take(10)
