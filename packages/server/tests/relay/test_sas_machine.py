"""SAS tokens as a state machine: minted, changed, kept for long, shown elsewhere.

A token opens the path and the right that it was minted for, until its end, and nothing else; whoever
changes a character of what it says has no token any more.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

from landbridge_server.relay.credentials import LONGEST_SEND, RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.relay.sas import SasError, parse, verify

MACHINES = tuple(f"{number}1111111-1111-1111-1111-111111111111" for number in range(3))
PATHS = tuple(hybrid_connection_path(machine) for machine in MACHINES)
USERS = ("99999999-9999-9999-9999-999999999999", "88888888-8888-8888-8888-888888888888")
HOSTS = {"relay.test"}
REASONS = ("MissingToken", "MalformedToken", "InvalidSignature", "InvalidAudience", "ExpiredToken")


class Tokens(RuleBasedStateMachine):
    """Two clouds with secrets of their own, and everybody's tokens."""

    minted = Bundle("minted")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.masters = (b"m" * 32, b"n" * 32)

    @rule(
        target=minted,
        cloud=st.integers(0, 1),
        path=st.sampled_from(PATHS),
        who=st.sampled_from(["", *USERS]),
        seconds=st.integers(0, 20_000),
    )
    def mint(self, cloud: int, path: str, who: str, seconds: int) -> tuple[str, int, str, str, int]:
        credentials = RelayCredentials(self.masters[cloud], "relay.test:443")
        if who:
            made = credentials.send_credentials(path, who, seconds, self.now)
            assert made.expires_on <= self.now + LONGEST_SEND
            return made.access_key, cloud, path, f"send.{who}", made.expires_on
        text, ends = credentials.listen_credentials(path, seconds, self.now)
        return text, cloud, path, "listen", ends

    @rule(seconds=st.integers(0, 12_000))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(token=minted, cloud=st.integers(0, 1), path=st.sampled_from(PATHS))
    def show(self, token: tuple[str, int, str, str, int], cloud: int, path: str) -> None:
        text, of_cloud, of_path, right, ends = token
        good = cloud == of_cloud and path == of_path and self.now < ends
        try:
            grant = verify(text, self.masters[cloud], path, HOSTS, self.now)
        except SasError as error:
            assert not good
            assert error.status == 401 and error.reason.startswith(REASONS)
        else:
            assert good
            assert (grant.rule, grant.expires_on) == (right, ends)
            assert grant.listens == (right == "listen")
            assert grant.sender == (None if grant.listens else right.removeprefix("send."))

    @rule(token=minted, host=st.sampled_from(["other.test", "relay.test.evil", "relay", ""]))
    def show_at_another_relay(self, token: tuple[str, int, str, str, int], host: str) -> None:
        text, cloud, path, _, _ = token
        with pytest.raises(SasError, match=r"InvalidAudience|ExpiredToken"):
            verify(text, self.masters[cloud], path, {host}, self.now)

    @rule(token=minted, at=st.integers(0, 10_000), letter=st.sampled_from("aA0%+/=&. s"))
    def change_a_character(self, token: tuple[str, int, str, str, int], at: int, letter: str) -> None:
        text, cloud, path, right, ends = token
        at %= len(text)
        changed = text[:at] + letter + text[at + 1 :]
        try:
            before, after = parse(text), parse(changed)
            grant = verify(changed, self.masters[cloud], path, HOSTS, self.now)
        except SasError:
            return
        # Another spelling of the same thing: percent signs, or a field that nobody reads.
        assert before == after
        assert (grant.rule, grant.expires_on) == (right, ends)

    @rule(one=minted, other=minted, name=st.sampled_from(["sr", "sig", "se", "skn"]))
    def mix_two(
        self,
        one: tuple[str, int, str, str, int],
        other: tuple[str, int, str, str, int],
        name: str,
    ) -> None:
        """Take a field from another token: only what both say alike may still be good."""

        def fields(text: str) -> dict[str, str]:
            return dict(part.split("=", 1) for part in text.partition(" ")[2].split("&"))

        mixed = fields(one[0]) | {name: fields(other[0])[name]}
        text = "SharedAccessSignature " + "&".join(f"{key}={value}" for key, value in mixed.items())
        try:
            grant = verify(text, self.masters[one[1]], one[2], HOSTS, self.now)
        except SasError:
            return
        assert text == one[0]
        assert (grant.rule, grant.expires_on) == (one[3], one[4])


@pytest.mark.parametrize(
    ("rounds", "examples", "steps"),
    [(1, 60, 40), pytest.param(20, 500, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_a_token_opens_what_it_was_minted_for_and_nothing_else(
    rounds: int, examples: int, steps: int
) -> None:
    # Hypothesis remembers every choice of a run, some 0.3 MiB an example: many short runs, not one long.
    for _ in range(rounds):
        run_state_machine_as_test(
            Tokens, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )
