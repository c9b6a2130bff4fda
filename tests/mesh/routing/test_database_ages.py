import math

import pytest

from mesh.link.bodies import Digest, DigestEntry
from mesh.routing.database import REMEMBER_S, LinkState
from mesh.routing.record_outcomes import Newer, OwnIsNewer, Stale, Stored
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import decode_body, trusted_record
from mesh.trust.certificates import TrustStore, read_certificate
from tests.mesh.routing.database_company import (
    ALICE,
    AUTHORITY,
    BOB,
    CERTIFICATES,
    INSTANCE,
    OWN,
    TTL_S,
    UNIX,
    digest_of,
    graph,
    lacking,
    names,
    wire_of,
)

# -- age -----------------------------------------------------------------------------------------------------


def test_age_rises_with_the_time_held_and_with_each_hop():
    state = graph()
    state.offer(wire_of(ALICE, age_ms=5_000), 10.0, UNIX)
    assert state.wire(ALICE.id, 10.0).age_ms == 5_001
    assert state.wire(ALICE.id, 12.5).age_ms == 7_501


def test_a_record_expires_by_its_age_not_by_its_arrival():
    state = graph()
    state.offer(wire_of(ALICE, age_ms=200_000), 0.0, UNIX)
    state.offer(wire_of(BOB), 0.0, UNIX)
    assert state.deadline() == 100.0
    assert state.expire(99.9) == []
    assert [record.agent_id for record in state.expire(100.0)] == [ALICE.id]
    assert set(state.usable(UNIX)[0]) == {OWN.id, BOB.id}
    assert state.deadline() == 300.0
    assert [record.agent_id for record in state.expire(300.0)] == [BOB.id]
    assert state.deadline() == math.inf
    assert state.expire(1e9) == []
    assert OWN.id in state


def test_a_refresh_puts_the_expiry_off():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    state.offer(wire_of(ALICE, sequence=1), 120.0, UNIX)
    assert state.expire(300.0) == []
    assert state.deadline() == 420.0
    assert ALICE.id in state


def test_what_is_too_old_is_not_let_in():
    state = graph()
    assert isinstance(state.offer(wire_of(ALICE, age_ms=300_000), 0.0, UNIX), Stale)
    assert ALICE.id not in state
    assert state.counts.aged == 1
    assert state.wire(ALICE.id, 0.0) is None


def test_what_is_too_old_to_be_remembered_takes_nothings_place():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    too_old_ms = round((TTL_S + REMEMBER_S) * 1000)
    assert state.offer(wire_of(ALICE, sequence=1, age_ms=too_old_ms), 1.0, UNIX) == Stale()
    assert state.offer(wire_of(ALICE, sequence=1, age_ms=2**63), 1.0, UNIX) == Stale()
    assert ALICE.id in state
    assert state.counts.aged == 2
    assert isinstance(state.offer(wire_of(ALICE, sequence=1, age_ms=too_old_ms - 1), 1.0, UNIX), Stored)


def test_a_lower_age_is_believed_as_far_as_the_first_sight_of_the_record():
    state = graph()
    state.offer(wire_of(ALICE, age_ms=250_000), 100.0, UNIX)
    state.offer(wire_of(ALICE, age_ms=60_000), 110.0, UNIX)  # signed at 50
    state.expire(150.0)
    assert ALICE.id in state
    assert state.deadline() == 350.0
    state.offer(wire_of(ALICE, age_ms=0), 340.0, UNIX)
    state.expire(350.0)
    assert state.deadline() == 400.0
    state.offer(wire_of(ALICE, age_ms=0), 399.0, UNIX)
    assert [record.agent_id for record in state.expire(400.0)] == [ALICE.id]
    assert isinstance(state.offer(wire_of(ALICE, age_ms=0), 401.0, UNIX), Stale)
    assert ALICE.id not in state


def test_an_age_that_was_raised_on_the_way_is_corrected_by_an_honest_copy():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    lie = state.offer(wire_of(ALICE, sequence=1, age_ms=10**7), 1.0, UNIX)
    assert isinstance(lie, Stored)
    assert lie.changed
    assert ALICE.id not in state
    honest = state.offer(wire_of(ALICE, sequence=1, age_ms=20), 1.1, UNIX)
    assert isinstance(honest, Stored)
    assert honest.changed
    assert state.wire(ALICE.id, 1.1).age_ms == pytest.approx(101, abs=1)
    assert ALICE.id in state.usable(UNIX)[0]


def test_a_peer_that_takes_a_live_record_for_expired_is_still_to_be_told_of_it():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    assert state.offer(wire_of(ALICE, age_ms=10**7), 1.0, UNIX) == Stale()
    assert state.offer(wire_of(ALICE, age_ms=1_000), 1.0, UNIX) == Stale(ALICE.id)


# -- what has left -------------------------------------------------------------------------------------------


def test_who_withdrew_is_out_of_the_routes_at_once_and_cannot_be_replayed():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    gone = state.offer(wire_of(ALICE, sequence=1, withdrawn=True), 1.0, UNIX)
    assert isinstance(gone, Stored)
    assert gone.changed
    assert ALICE.id not in state.usable(UNIX)[0]
    assert isinstance(state.offer(wire_of(ALICE), 2.0, UNIX), Newer)
    assert (ALICE.id, 1, 1) in names(lacking(state, digest_of((ALICE.id, 1, 0)), 2.0))
    state.expire(301.0)
    assert isinstance(state.offer(wire_of(ALICE), 302.0, UNIX), Newer)
    assert isinstance(state.offer(wire_of(ALICE, epoch=2), 303.0, UNIX), Stored)
    assert ALICE.id in state.usable(UNIX)[0]


def test_an_expired_record_cannot_be_replayed_for_a_day():
    state = graph()
    state.offer(wire_of(ALICE, sequence=3), 0.0, UNIX)
    state.expire(300.0)
    for old in (wire_of(ALICE, sequence=2), wire_of(ALICE, sequence=3)):
        assert not isinstance(state.offer(old, 500.0, UNIX), Stored)
    assert ALICE.id not in state
    assert state.digest() == [DigestEntry(OWN.id, 5, 0, INSTANCE)]
    state.offer(wire_of(BOB), REMEMBER_S, UNIX)
    state.expire(300.0 + REMEMBER_S)
    assert isinstance(state.offer(wire_of(ALICE, sequence=2), 300.0 + REMEMBER_S, UNIX), Stored)


def test_an_agent_with_its_clock_set_back_is_told_of_its_expired_record():
    # It gets there over an agent that knows the old clock's record only, and takes it out there too.
    state, between, restarted = graph(), graph(), graph()
    state.offer(wire_of(ALICE, epoch=50, sequence=3), 0.0, UNIX)
    state.expire(300.0)
    between.offer(wire_of(ALICE, epoch=2), 400.0, UNIX)
    [told] = lacking(state, Digest(tuple(between.digest())), 400.0)
    assert told.age_ms > TTL_S * 1000
    passed_on = between.offer(told, 400.0, UNIX)
    assert isinstance(passed_on, Stored)
    assert passed_on.changed
    assert ALICE.id not in between
    # ALICE's own table, played here by one that has her ID.
    alice = LinkState(ALICE.id, TrustStore([AUTHORITY.public_key]), RecordReader(), ttl_s=TTL_S)
    own = wire_of(ALICE, epoch=2)
    alice.put_own(
        trusted_record(decode_body(own.signed), read_certificate(CERTIFICATES[ALICE.id])), own, 400.0
    )
    assert alice.offer(between.wire(ALICE.id, 400.0), 400.0, UNIX) == OwnIsNewer((50, 3, INSTANCE))
    assert isinstance(restarted.offer(told, 400.0, UNIX), Stale)
