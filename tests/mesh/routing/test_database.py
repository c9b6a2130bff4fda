import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError, TrustError
from mesh.link.bodies import Digest, DigestEntry, WireRecord
from mesh.routing.database import ANSWER_AFTER_S, REMEMBER_S, LinkState
from mesh.routing.record_outcomes import Newer, OwnIsNewer, Refusal, Refused, Stale, Stored
from mesh.routing.records import RecordBody, RecordReader, decode_body, sign_record, trusted_record
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance, agent_id_of, verify_signature

UNIX = 1_700_000_000
AUTHORITY = Identity(bytes(32))
STRANGER = Identity(b"\xff" * 32)
OWN, ALICE, BOB, CAROL = (Identity(bytes((number,)) * 32) for number in range(1, 5))
TTL_S = 300.0

INSTANCE = Instance(b"i" * 16)


def certificate_of(identity: Identity, authority: Identity = AUTHORITY) -> bytes:
    return issue_certificate(
        authority,
        subject=identity.public_key,
        name=f"agent {identity.public_key[0]}",
        not_before=UNIX,
        not_after=UNIX + 100_000,
        may_register=["*"],
    )


CERTIFICATES = {identity.id: certificate_of(identity) for identity in (OWN, ALICE, BOB, CAROL)}


def wire_of(identity: Identity, epoch: int = 1, sequence: int = 0, age_ms: int = 0, **changes) -> WireRecord:
    body = RecordBody(
        public_key=identity.public_key,
        epoch=epoch,
        sequence=sequence,
        instance=INSTANCE,
        session_key=b"s" * 32,
        certificate=CERTIFICATES[identity.id],
        relays=True,
        draining=False,
        withdrawn=False,
    )
    wire = sign_record(identity, msgspec.structs.replace(body, **changes))
    return msgspec.structs.replace(wire, age_ms=age_ms)


class CountingCheck:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: bytes) -> None:
        self.calls += 1
        verify_signature(*arguments)


def graph(check=verify_signature, **limits) -> LinkState:
    state = LinkState(OWN.id, TrustStore([AUTHORITY.public_key]), RecordReader(check), ttl_s=TTL_S, **limits)
    wire = wire_of(OWN, epoch=5)
    own = trusted_record(decode_body(wire.signed), read_certificate(CERTIFICATES[OWN.id]))
    state.put_own(own, wire, 0.0)
    return state


def digest_of(*held: tuple[AgentId, int, int]) -> Digest:
    return Digest(tuple(DigestEntry(*entry, INSTANCE) for entry in held))


def names(wires: list[WireRecord]) -> set[tuple[AgentId, int, int]]:
    bodies = [decode_body(wire.signed) for wire in wires]
    return {(agent_id_of(body.public_key), *body.freshness[:2]) for body in bodies}


# -- freshness -----------------------------------------------------------------------------------------------


def test_news_is_stored_and_only_a_change_counts_as_one():
    state = graph()
    first = state.offer(wire_of(ALICE), 0.0, UNIX)
    assert isinstance(first, Stored)
    assert first.changed
    refresh = state.offer(wire_of(ALICE, sequence=1), 1.0, UNIX)
    assert isinstance(refresh, Stored)
    assert not refresh.changed
    change = state.offer(wire_of(ALICE, sequence=2, draining=True), 2.0, UNIX)
    assert isinstance(change, Stored)
    assert change.changed
    assert state.usable(UNIX)[0][ALICE.id] == change.record


def test_a_new_instance_supersedes_whatever_its_sequence():
    state = graph()
    state.offer(wire_of(ALICE, epoch=1, sequence=900), 0.0, UNIX)
    assert isinstance(state.offer(wire_of(ALICE, epoch=2, sequence=0), 0.0, UNIX), Stored)
    assert isinstance(state.offer(wire_of(ALICE, epoch=1, sequence=901), 1.0, UNIX), Newer)


def test_a_copy_and_an_older_one_cost_no_signature_check():
    check = CountingCheck()
    state = graph(check)
    state.offer(wire_of(ALICE, sequence=5), 0.0, UNIX)
    assert check.calls == 1
    assert isinstance(state.offer(wire_of(ALICE, sequence=5), 1.0, UNIX), Stale)
    older = state.offer(wire_of(ALICE, sequence=4), 1.0, UNIX)
    assert isinstance(older, Newer)
    assert older.ours == wire_of(ALICE, sequence=5, age_ms=1001)
    assert check.calls == 1
    assert (state.counts.stored, state.counts.duplicate, state.counts.older) == (1, 1, 1)


def test_an_older_one_that_crosses_what_has_just_been_flooded_is_not_answered():
    state = graph()
    state.offer(wire_of(ALICE, sequence=5), 10.0, UNIX)
    assert state.offer(wire_of(ALICE, sequence=4), 9.99 + ANSWER_AFTER_S, UNIX) == Stale()
    assert isinstance(state.offer(wire_of(ALICE, sequence=4), 10.0 + ANSWER_AFTER_S, UNIX), Newer)
    assert state.counts.older == 2


def test_an_older_one_of_what_has_expired_is_always_answered():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    expired = wire_of(ALICE, sequence=5, age_ms=400_000)
    assert isinstance(state.offer(expired, 10.0, UNIX), Stored)
    assert isinstance(state.offer(wire_of(ALICE, sequence=4), 10.0, UNIX), Newer)


@pytest.mark.parametrize("first", [b"a", b"z"])
def test_of_two_runs_with_equal_numbers_all_keep_the_same(first: bytes):
    second = b"z" if first == b"a" else b"a"
    state, other = graph(), graph()
    assert isinstance(state.offer(wire_of(ALICE, instance=first * 16), 0.0, UNIX), Stored)
    assert isinstance(other.offer(wire_of(ALICE, instance=second * 16), 0.0, UNIX), Stored)
    theirs = state.newer_than(Digest(tuple(other.digest())), 1.0)
    ours = other.newer_than(Digest(tuple(state.digest())), 1.0)
    assert sorted(len(names(wires) - {(OWN.id, 5, 0)}) for wires in (theirs, ours)) == [0, 1]
    for wire in theirs:
        other.offer(wire, 1.0, UNIX)
    for wire in ours:
        state.offer(wire, 1.0, UNIX)
    kept = {held.usable(UNIX)[0][ALICE.id].body.instance for held in (state, other)}
    assert kept == {b"z" * 16}


@settings(deadline=None)
@given(st.permutations(list(range(6))))
def test_in_any_order_the_newest_remains(order):
    state = graph()
    for sequence in order:
        state.offer(wire_of(ALICE, sequence=sequence), 0.0, UNIX)
    assert state.usable(UNIX)[0][ALICE.id].freshness[:2] == (1, 5)


# -- the own record ------------------------------------------------------------------------------------------


def test_the_own_record_comes_back_as_a_copy():
    state = graph()
    assert isinstance(state.offer(wire_of(OWN, epoch=5), 1.0, UNIX), Stale)
    assert isinstance(state.offer(wire_of(OWN, epoch=4), 1.0, UNIX), Newer)


def test_a_newer_own_record_is_reported_and_not_stored():
    state = graph()
    newer = wire_of(OWN, epoch=5, sequence=9, instance=b"j" * 16)
    assert state.offer(newer, 1.0, UNIX) == OwnIsNewer((5, 9, Instance(b"j" * 16)))
    assert state.usable(UNIX)[0][OWN.id].freshness[:2] == (5, 0)


def test_a_newer_own_record_counts_even_expired_and_with_an_expired_certificate():
    state = graph()
    newer = wire_of(OWN, epoch=6, age_ms=2**40)
    assert isinstance(state.offer(newer, 1.0, UNIX + 200_000), OwnIsNewer)


def test_another_own_record_of_the_same_freshness_is_jumped_past_too():
    state = graph()
    assert isinstance(state.offer(wire_of(OWN, epoch=5, instance=b"j" * 16), 1.0, UNIX), OwnIsNewer)


def test_a_forged_own_record_moves_nothing():
    state = graph()
    forged = msgspec.structs.replace(wire_of(OWN, epoch=6), signature=bytes(64))
    outcome = state.offer(forged, 1.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.OFFENCE


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (WireRecord(b"junk", bytes(64), 0), RemoteProtocolError),
        (msgspec.structs.replace(wire_of(ALICE), signature=bytes(64)), AuthenticationError),
        (wire_of(ALICE, certificate=CERTIFICATES[BOB.id]), RemoteProtocolError),
    ],
)
def test_what_nobody_passes_on_is_an_offence(wire, error):
    state = graph()
    outcome = state.offer(wire, 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.OFFENCE
    assert isinstance(outcome.reason, error)
    assert not isinstance(outcome.reason, TrustError)
    assert len(state) == 1
    assert state.counts.refused_offence == 1


@pytest.mark.parametrize(
    ("certificate", "unix_now", "why"),
    [
        (CERTIFICATES[ALICE.id], UNIX + 100_000, "expired"),
        (CERTIFICATES[ALICE.id], UNIX - 1000, "not valid until"),
        (certificate_of(ALICE, STRANGER), UNIX, "does not trust"),
    ],
)
def test_a_certificate_that_admits_nobody_is_no_offence(certificate, unix_now, why):
    state = graph()
    outcome = state.offer(wire_of(ALICE, certificate=certificate), 0.0, unix_now)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.CERTIFICATE
    assert outcome.agent_id == ALICE.id
    assert why in str(outcome.reason)
    assert ALICE.id not in state
    assert state.counts.refused_certificate == 1


def test_a_certificate_that_ends_ends_its_agents_routes():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    records, valid_until = state.usable(UNIX)
    assert set(records) == {OWN.id, ALICE.id}
    assert valid_until == UNIX + 100_000
    # The own one is judged by others.
    assert state.usable(valid_until) == ({OWN.id: records[OWN.id]}, math.inf)


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
    assert (ALICE.id, 1, 1) in names(state.newer_than(digest_of((ALICE.id, 1, 0)), 2.0))
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
    [told] = state.newer_than(Digest(tuple(between.digest())), 400.0)
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


# -- digests -------------------------------------------------------------------------------------------------


def test_a_digest_is_answered_with_what_is_missing_or_older():
    state = graph()
    for identity in (ALICE, BOB, CAROL):
        state.offer(wire_of(identity, epoch=2, sequence=2), 0.0, UNIX)
    held = digest_of((ALICE.id, 2, 1), (BOB.id, 2, 2), (CAROL.id, 3, 0))
    assert names(state.newer_than(held, 0.0)) == {(OWN.id, 5, 0), (ALICE.id, 2, 2)}
    assert names(state.newer_than(digest_of(), 0.0)) == {
        (OWN.id, 5, 0),
        *((identity.id, 2, 2) for identity in (ALICE, BOB, CAROL)),
    }


def test_a_digest_speaks_for_its_range_only():
    state = graph()
    ordered = sorted((ALICE, BOB, CAROL), key=lambda identity: identity.id)
    for identity in ordered:
        state.offer(wire_of(identity), 0.0, UNIX)
    middle = Digest((), ordered[1].id, ordered[1].id)
    assert names(state.newer_than(middle, 0.0)) == {(ordered[1].id, 1, 0)}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((ALICE, BOB, CAROL)), st.integers(0, 3), st.booleans()), max_size=12)
)
def test_one_exchange_of_digests_makes_two_agents_equal(held):
    left, right = graph(), graph()
    for identity, sequence, is_left in held:
        (left if is_left else right).offer(wire_of(identity, sequence=sequence), 0.0, UNIX)
    for_right = left.newer_than(Digest(tuple(right.digest())), 0.0)
    for_left = right.newer_than(Digest(tuple(left.digest())), 0.0)
    assert all(isinstance(right.offer(wire, 0.0, UNIX), Stored) for wire in for_right)
    assert all(isinstance(left.offer(wire, 0.0, UNIX), Stored) for wire in for_left)
    assert sorted(left.digest(), key=str) == sorted(right.digest(), key=str)
