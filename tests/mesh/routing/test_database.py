import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, ForgedCertificateError, RemoteProtocolError, TrustError
from mesh.link.bodies import Digest, WireRecord
from mesh.routing.database import ANSWER_AFTER_S
from mesh.routing.record_outcomes import Newer, OwnIsNewer, Refusal, Refused, Stale, Stored
from mesh.trust.extensions import Extension
from mesh.trust.identity import Instance
from tests.mesh.routing.database_company import (
    ALICE,
    BOB,
    CERTIFICATES,
    OWN,
    STRANGER,
    UNIX,
    CountingCheck,
    certificate_of,
    graph,
    lacking,
    names,
    wire_of,
)

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
    assert state.wire(ALICE.id, 1.0) == wire_of(ALICE, sequence=5, age_ms=1001)
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
    theirs = lacking(state, Digest(tuple(other.digest())), 1.0)
    ours = lacking(other, Digest(tuple(state.digest())), 1.0)
    assert sorted(len(names(wires) - {(OWN.id, 5, 0)}) for wires in (theirs, ours)) == [0, 1]
    for wire in theirs:
        other.offer(wire, 1.0, UNIX)
    for wire in ours:
        state.offer(wire, 1.0, UNIX)
    kept = {held.usable(UNIX)[0][ALICE.id].body.instance for held in (state, other)}
    assert kept == {b"z" * 16}


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
        (wire_of(ALICE, certificate=bytes(64) + CERTIFICATES[ALICE.id][64:]), ForgedCertificateError),
    ],
)
def test_what_nobody_passes_on_is_an_offence(wire, error):
    state = graph()
    outcome = state.offer(wire, 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.OFFENCE
    assert isinstance(outcome.reason, error)
    assert isinstance(outcome.reason, TrustError) == (error is ForgedCertificateError)
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


def test_a_critical_extension_that_is_not_known_is_no_offence_of_who_passes_it_on():
    state = graph()
    outcome = state.offer(wire_of(ALICE, extensions=(Extension("later", True, b""),)), 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.CERTIFICATE
    assert "has the critical extension 'later'" in str(outcome.reason)
    assert ALICE.id not in state


def test_another_extension_is_kept_and_passed_on():
    state = graph()
    wire = wire_of(ALICE, extensions=(Extension("later", False, b"data"),))
    assert isinstance(state.offer(wire, 0.0, UNIX), Stored)
    kept = state.wire(ALICE.id, 0.0)
    assert kept is not None
    assert kept.signed == wire.signed


def test_a_certificate_that_ends_ends_its_agents_routes():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    records, valid_until = state.usable(UNIX)
    assert set(records) == {OWN.id, ALICE.id}
    assert valid_until == UNIX + 100_000
    # The own one is judged by others.
    assert state.usable(valid_until) == ({OWN.id: records[OWN.id]}, math.inf)
