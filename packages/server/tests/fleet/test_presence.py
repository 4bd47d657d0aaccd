from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.fleet.presence import GRACE, STALE, Presence
from landbridge_server.store.machines import Seen

NOW = 1_800_000_000.0


def test_a_machine_never_heard_from_awaits_its_connection():
    assert Presence().status("m", NOW) == ("AwaitingConnection", 0.0)


def test_an_open_channel_is_connected_however_long_it_is_silent():
    presence = Presence()
    presence.arrived("m", NOW)
    assert presence.status("m", NOW + 10 * STALE) == ("Connected", NOW)


def test_a_closed_channel_may_come_back_before_anybody_is_told():
    presence = Presence()
    presence.arrived("m", NOW)
    presence.departed("m", NOW + 60)
    assert presence.status("m", NOW + 60 + GRACE)[0] == "Connected"
    presence.arrived("m", NOW + 60 + GRACE)
    assert presence.status("m", NOW + 1000) == ("Connected", NOW)


def test_a_channel_that_stays_closed_is_disconnected_since_then():
    presence = Presence()
    presence.arrived("m", NOW)
    presence.departed("m", NOW + 60)
    assert presence.status("m", NOW + 61 + GRACE) == ("Disconnected", NOW + 60 + GRACE)


def test_one_of_two_channels_may_close():
    presence = Presence()
    presence.arrived("m", NOW)
    presence.arrived("m", NOW)
    presence.departed("m", NOW + 1)
    assert presence.status("m", NOW + 10 * STALE)[0] == "Connected"


def test_heartbeats_alone_keep_a_machine_connected_until_they_are_stale():
    presence = Presence()
    presence.heartbeat("m", "1.2.3.4", NOW)
    assert presence.status("m", NOW + STALE)[0] == "Connected"
    assert presence.status("m", NOW + STALE + 1) == ("Disconnected", NOW + STALE)
    assert presence.agent_version("m") == "1.2.3.4"


def test_a_silent_machine_whose_certificate_ended_is_expired():
    presence = Presence()
    presence.heartbeat("m", "", NOW)
    presence.issued("m", NOW + 5000)
    assert presence.status("m", NOW + 4999)[0] == "Disconnected"
    assert presence.status("m", NOW + 5001) == ("Expired", NOW + 5000)


def test_a_renewed_certificate_counts_from_its_own_end():
    presence = Presence()
    presence.heartbeat("m", "", NOW)
    presence.issued("m", NOW + 9000)
    presence.issued("m", NOW + 5000)
    assert presence.status("m", NOW + 5001)[0] == "Disconnected"


def test_what_was_stored_is_taken_over_after_a_restart():
    before = Presence()
    before.arrived("m", NOW)
    after = Presence()
    after.load(before.take_dirty(10), {"m": NOW + 90 * 86400})
    assert after.status("m", NOW + 60)[0] == "Connected"
    assert after.status("m", NOW + STALE + 1)[0] == "Disconnected"
    assert after.take_dirty(10) == []


def test_each_change_is_taken_once_and_put_back_after_a_failure():
    presence = Presence()
    for index in range(5):
        presence.heartbeat(f"m{index}", "", NOW)
    first = presence.take_dirty(3)
    assert len(first) == 3
    assert len(presence.take_dirty(10)) == 2
    presence.put_back(first)
    assert sorted(presence.take_dirty(10)) == sorted(first)


def test_a_removed_machine_is_forgotten():
    presence = Presence()
    presence.arrived("m", NOW)
    presence.forget("m")
    presence.departed("m", NOW + 1)
    assert presence.status("m", NOW)[0] == "AwaitingConnection"
    assert presence.take_dirty(10) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["arrived", "departed", "heartbeat"]), st.floats(0, 2000)), max_size=30
    )
)
def test_a_machine_is_connected_exactly_while_a_channel_or_a_fresh_sign_of_life_exists(events):
    presence, now, channels = Presence(), NOW, 0
    for kind, pause in events:
        now += pause
        if kind == "heartbeat":
            presence.heartbeat("m", "", now)
        elif kind == "arrived":
            presence.arrived("m", now)
            channels += 1
        elif channels:
            presence.departed("m", now)
            channels -= 1
    if channels:
        assert presence.status("m", now + 10 * STALE)[0] == "Connected"
    elif events and presence.last_seen("m") is not None:
        assert presence.status("m", now + 2 * STALE + GRACE)[0] == "Disconnected"


def test_rows_name_the_columns_of_the_store():
    presence = Presence()
    presence.heartbeat("m", "v", NOW)
    assert presence.take_dirty(1) == [Seen("m", NOW, None, NOW, "v")]
