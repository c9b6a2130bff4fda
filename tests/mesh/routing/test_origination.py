import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.origination import (
    JUMP_SEQUENCES,
    MAX_OVERTAKEN_HOLD_S,
    QUIET_S,
    RTT_DWELL_S,
    DampedRtt,
    Originator,
    OwnAgent,
    rtt_step,
)
from mesh.routing.overtakers import OVERTAKEN_FREELY
from mesh.routing.pacing import FIRST_HOLD_S, MAX_HOLD_S
from mesh.routing.records import (
    MAX_ENDPOINTS,
    MAX_EPOCH,
    MAX_RTT_STEP,
    MAX_SEQUENCE,
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    decode_body,
)
from mesh.trust.identity import AgentId, Identity, Instance, verify_signature

IDENTITY = Identity(b"\x01" * 32)
PEER = AgentId(b"p" * 16)
OTHER = AgentId(b"q" * 16)
EPOCH = 1_700_000_000_000
DAY_S = 86_400
OTHER = Instance(b"o" * 16)
"""Of another run."""


def originator(**changes) -> Originator:
    fixed = OwnAgent(certificate=b"cert", session_key=b"s" * 32, instance=Instance(b"i" * 16), relays=True)
    return Originator(IDENTITY, fixed, **({"epoch": EPOCH, "advertise_interval_s": 120.0} | changes))


def issue(source: Originator, now: float):
    wire = source.issue(now)
    assert wire is not None
    verify_signature(IDENTITY.public_key, b"mesh record v1", wire.signed, wire.signature)
    assert wire.age_ms == 0
    return decode_body(wire.signed)


def endpoints(*keys: str) -> tuple[EndpointEntry, ...]:
    return tuple(EndpointEntry(key, None) for key in keys)


def test_the_first_record_and_the_first_change_go_out_at_once():
    source = originator()
    assert source.deadline() == -math.inf
    assert issue(source, 0.0).freshness[:2] == (EPOCH, 0)
    assert source.issue(10.0) is None
    assert source.link_up(PEER, 0.001, 10.0)
    body = issue(source, 10.0)
    assert body.freshness[:2] == (EPOCH, 1)
    assert body.neighbours == (Neighbour(PEER, 1),)


def test_without_a_change_it_refreshes_each_interval():
    source = originator()
    first = issue(source, 0.0)
    assert source.deadline() == 120.0
    assert source.issue(119.9) is None
    assert issue(source, 120.0) == msgspec.structs.replace(first, sequence=1)
    assert source.deadline() == 240.0


def test_a_flapping_link_costs_one_record_a_second():
    source = originator()
    issue(source, 0.0)
    now, issued = 10.0, []
    while now < 40.0:
        if source.body.neighbours:
            source.link_down(PEER, now)
        else:
            source.link_up(PEER, 0.001, now)
        if source.issue(now) is not None:
            issued.append(now)
        now += 0.013  # an odd number of flaps between two records, so that each finds a change
    gaps = [later - earlier for earlier, later in pairwise(issued)]
    assert issued[0] == 10.0
    assert gaps[0] <= FIRST_HOLD_S + 0.03
    assert all(later >= earlier - 0.03 for earlier, later in pairwise(gaps))
    assert gaps[10:] == pytest.approx([MAX_HOLD_S] * (len(gaps) - 10), abs=0.1)
    assert sum(gaps[:5]) < 0.4


def test_changes_that_come_now_and_then_never_wait_for_a_quiet_time():
    """A relay with many peers sees one come or go all the time, and each is news."""
    source = originator()
    issue(source, 0.0)
    for number in range(100):
        now = 10.0 + 1.1 * number
        source.set_endpoints(endpoints(f"key-{number}"))
        issue(source, now)


def test_after_a_quiet_time_a_change_goes_out_at_once_again():
    source = originator()
    issue(source, 0.0)
    source.set_endpoints(endpoints("a"))
    issue(source, 10.0)
    source.set_endpoints(endpoints("b"))
    assert source.issue(10.0) is None
    assert source.deadline() == pytest.approx(10.0 + FIRST_HOLD_S)
    issue(source, 10.1)
    source.set_endpoints(endpoints("c"))
    issue(source, 10.2 + QUIET_S)
    source.set_endpoints(endpoints("d"))
    assert source.deadline() == pytest.approx(10.2 + QUIET_S + FIRST_HOLD_S)


def test_what_is_taken_back_in_time_is_never_said():
    source = originator()
    issue(source, 0.0)
    source.set_endpoints(endpoints("a"))
    issue(source, 10.0)
    assert source.set_endpoints(endpoints("a", "b"))
    assert source.deadline() < 11.0
    assert source.set_endpoints(endpoints("a"))
    assert source.deadline() == 130.0


def test_saying_the_same_again_is_no_change():
    source = originator()
    assert source.set_listeners((ListenerEntry("k", ":1"),))
    assert not source.set_listeners((ListenerEntry("k", ":1"),))
    assert not source.link_down(PEER, 0.0)
    assert source.link_up(PEER, 0.001, 0.0)
    assert not source.link_up(PEER, 0.001, 1.0)
    assert not source.link_measured(OTHER, 0.5, 2.0)


def test_draining_and_withdrawal_do_not_wait():
    source = originator()
    issue(source, 0.0)
    source.link_up(PEER, 0.001, 0.0)
    source.set_endpoints(endpoints("a"))
    source.issue(0.0)
    source.set_endpoints(endpoints("a", "b"))
    assert source.issue(0.0) is None
    assert source.set_draining(draining=True)
    draining = issue(source, 0.0)
    assert draining.draining
    assert draining.endpoints == endpoints("a", "b")
    assert source.withdraw()
    last = issue(source, 0.0)
    assert last.withdrawn
    assert last.draining
    assert (last.neighbours, last.endpoints, last.listeners) == ((), (), ())
    assert source.deadline() == math.inf


def test_nothing_is_said_after_the_withdrawal():
    source = originator()
    source.withdraw()
    issue(source, 0.0)
    assert source.is_withdrawn
    assert not source.link_up(PEER, 0.001, 1.0)
    assert not source.set_endpoints(endpoints("a"))
    assert not source.withdraw()
    assert not source.overtaken_by((EPOCH + 5, 0, OTHER), 2.0)
    assert source.issue(10_000.0) is None


@pytest.mark.parametrize(
    ("found", "follows"),
    [
        ((EPOCH, 0), (EPOCH, 1)),
        ((EPOCH, 7), (EPOCH, 7 + JUMP_SEQUENCES)),
        ((EPOCH + 900, 4), (EPOCH + 900, 4 + JUMP_SEQUENCES)),
        ((EPOCH, MAX_SEQUENCE - JUMP_SEQUENCES), (EPOCH, MAX_SEQUENCE)),
        ((EPOCH, MAX_SEQUENCE - JUMP_SEQUENCES + 1), (EPOCH + 1, 0)),
        ((EPOCH, MAX_SEQUENCE), (EPOCH + 1, 0)),
    ],
)
def test_it_jumps_past_a_newer_record_of_its_own(found, follows):
    source = originator()
    issue(source, 0.0)
    assert not source.overtaken_by((*found, OTHER), 5.0)
    assert issue(source, 5.0).freshness[:2] == follows
    assert source.deadline() > 100.0


def test_what_the_run_before_said_later_and_comes_late_is_older_than_what_follows_the_jump():
    """Its clock was ahead. The mesh held its first record; what it said in a day lay in a buffer."""
    source = originator()
    issue(source, 0.0)
    source.overtaken_by((EPOCH + 900, 4, OTHER), 5.0)
    jumped = issue(source, 5.0)
    late = (EPOCH + 900, 4 + 86_400, OTHER)
    assert jumped.freshness > late
    source.overtaken_by(late, 6.0)
    assert source.deadline() > 100.0, "nothing to jump past"


def test_an_older_record_of_its_own_moves_nothing():
    source = originator()
    issue(source, 0.0)
    assert not source.overtaken_by((EPOCH - 1, 99, OTHER), 5.0)
    assert source.deadline() == 120.0


def test_copies_over_many_links_are_one_jump_and_no_duplicate_identity():
    source = originator()
    issue(source, 0.0)
    source.set_endpoints(endpoints("a"))
    issue(source, 5.0)
    assert not any(source.overtaken_by((EPOCH + 1, 3, OTHER), 5.0) for _ in range(50))
    assert source.issue(5.0) is None
    assert issue(source, 5.0 + FIRST_HOLD_S).freshness[:2] == (EPOCH + 1, 3 + JUMP_SEQUENCES)


def test_the_counters_never_leave_their_range():
    source = originator(epoch=MAX_EPOCH)
    assert not source.overtaken_by((MAX_EPOCH, MAX_SEQUENCE, OTHER), 0.0)
    assert issue(source, 0.0).epoch == MAX_EPOCH


def test_what_it_said_before_its_clock_was_set_back_and_right_again_is_nobody_elses():
    source, own = originator(), Instance(b"i" * 16)
    said = [issue(source, now).freshness for now in (0.0, 120.0)]
    source.keep_epoch(EPOCH / 1000 - 2 * DAY_S)
    assert issue(source, 125.0).freshness < said[0]
    for now, freshness in enumerate(said, 130):
        assert not source.overtaken_by(freshness, float(now))
    assert not source.overtakers.any_runs(132.0, 300.0)
    newest = issue(source, 135.0).freshness
    assert newest > said[-1]
    assert source.overtaken_by((newest[0], newest[1] + 1, own), 140.0), "another run has a copy of this one's"


def test_a_jump_is_not_forgotten_over_a_change_that_is_taken_back():
    source = originator()
    issue(source, 0.0)
    source.overtaken_by((EPOCH + 1, 0, OTHER), 5.0)
    source.set_endpoints(endpoints("a"))
    source.set_endpoints(())
    assert issue(source, 5.0).freshness[:2] == (EPOCH + 1, JUMP_SEQUENCES)


def test_two_agents_with_one_key_slow_down_and_are_noticed():
    one, other = originator(), originator(epoch=EPOCH + 1)
    now, issued, noticed = 0.0, [], 0
    issue(one, now)
    freshness = issue(other, now).freshness
    for _ in range(30):
        for source in (one, other):
            noticed += source.overtaken_by(freshness, now)
            now = max(now, source.deadline())
            freshness = issue(source, now).freshness
            issued.append(now)
    assert issued[5] < 2.0
    assert noticed >= 60 - 2 * OVERTAKEN_FREELY - 1
    gaps = [later - earlier for earlier, later in pairwise(issued)]
    assert min(gaps[-10:]) == pytest.approx(MAX_OVERTAKEN_HOLD_S)
    # Alone again, it is as quick as ever.
    one.set_endpoints(endpoints("a"))
    assert one.deadline() <= now + MAX_OVERTAKEN_HOLD_S
    issue(one, now + 1000.0)
    one.set_endpoints(endpoints("b"))
    assert one.deadline() == pytest.approx(now + 1000.0 + FIRST_HOLD_S)


def test_when_the_other_has_withdrawn_it_speaks_at_once():
    """Everybody takes it for gone: the withdrawal is in its name."""
    source = originator()
    issue(source, 0.0)
    now, theirs = 0.0, (EPOCH + 1, 0)
    for _ in range(10):
        source.overtaken_by((*theirs, OTHER), now)
        now = source.deadline()
        epoch, sequence = issue(source, now).freshness[:2]
        theirs = epoch, sequence + 1
    assert source.overtakers.any_runs(now + 10.0, 300.0)
    assert not source.overtaken_by((*theirs, OTHER), now + 10.0, withdrawn=True)
    assert not source.overtakers.any_runs(now + 10.0, 300.0)
    assert source.deadline() <= now + 10.0
    assert issue(source, now + 10.0).freshness[:2] > theirs


def test_being_overtaken_now_and_then_is_no_duplicate_identity():
    source = originator()
    issue(source, 0.0)
    for number in range(1, 3 * OVERTAKEN_FREELY):
        now = number * 600.0
        assert not source.overtaken_by((EPOCH + number, 0, Instance(bytes([number]) * 16)), now)
        assert issue(source, now).freshness[:2] == (EPOCH + number, JUMP_SEQUENCES)


def test_what_does_not_fit_is_counted():
    source = originator()
    source.set_endpoints(endpoints(*(f"key-{index:05}" for index in range(MAX_ENDPOINTS + 88))))
    assert sum(page.entries for page in issue(source, 0.0).pages) == MAX_ENDPOINTS
    [omission] = source.layout.omissions
    assert str(omission) == (
        "88 endpoints not told to the mesh (an agent has at most 10,000): "
        "'key-10000', 'key-10001', 'key-10002' and 85 more"
    )
    # Although not all of it could be said, it has been said.
    assert source.deadline() == 120.0


@pytest.mark.parametrize(
    ("rtt_s", "step"),
    [(0.0, 0), (-1.0, 0), (0.0005, 0), (0.00051, 1), (0.001, 1), (0.0011, 2), (0.1, 8), (1e9, MAX_RTT_STEP)],
)
def test_the_step_of_a_round_trip(rtt_s, step):
    assert rtt_step(rtt_s) == step


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_round_trip_has_no_lower_step(one, other):
    assert rtt_step(min(one, other)) <= rtt_step(max(one, other))


@given(st.floats(0.0001, 1.0), st.lists(st.floats(0.8, 1.2), max_size=200))
def test_jitter_moves_a_step_once_at_most(rtt_s, jitter):
    # Between two neighbouring steps the hysteresis holds whichever was taken first.
    link = DampedRtt(rtt_s, 0.0)
    changes = sum(link.observe(rtt_s * factor, second * 15.0) for second, factor in enumerate(jitter, 1))
    assert changes <= 1


def test_a_step_follows_a_lasting_change_after_its_dwell():
    link = DampedRtt(0.001, 0.0)
    assert not any(link.observe(0.2, 0.1 * sample) for sample in range(99))
    assert link.step == 1
    assert link.observe(0.2, RTT_DWELL_S)
    assert link.step == rtt_step(0.2)


def test_a_single_slow_ping_moves_nothing():
    link = DampedRtt(0.0009, 0.0)
    assert not link.observe(0.003, 100.0)
    assert link.step == 1
