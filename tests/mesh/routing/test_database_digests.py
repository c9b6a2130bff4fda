import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.link.bodies import Digest, DigestEntry
from mesh.routing.database import LinkState
from mesh.routing.record_outcomes import Stored
from mesh.trust.identity import Identity
from tests.mesh.routing.database_company import (
    ALICE,
    BOB,
    CAROL,
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
from tests.work.instructions import instructions


def test_a_digest_is_answered_with_what_is_missing_or_older():
    state = graph()
    for identity in (ALICE, BOB, CAROL):
        state.offer(wire_of(identity, epoch=2, sequence=2), 0.0, UNIX)
    held = digest_of((ALICE.id, 2, 1), (BOB.id, 2, 2), (CAROL.id, 3, 0))
    assert names(lacking(state, held, 0.0)) == {(OWN.id, 5, 0), (ALICE.id, 2, 2)}
    assert names(lacking(state, digest_of(), 0.0)) == {
        (OWN.id, 5, 0),
        *((identity.id, 2, 2) for identity in (ALICE, BOB, CAROL)),
    }


def test_a_digest_speaks_for_its_range_only():
    state = graph()
    ordered = sorted((ALICE, BOB, CAROL), key=lambda identity: identity.id)
    for identity in ordered:
        state.offer(wire_of(identity), 0.0, UNIX)
    middle = Digest((), ordered[1].id, ordered[1].id)
    assert names(lacking(state, middle, 0.0)) == {(ordered[1].id, 1, 0)}


@given(
    st.lists(st.tuples(st.sampled_from((ALICE, BOB, CAROL)), st.integers(0, 3), st.booleans()), max_size=12)
)
def test_one_exchange_of_digests_makes_two_agents_equal(held):
    left, right = graph(), graph()
    for identity, sequence, is_left in held:
        (left if is_left else right).offer(wire_of(identity, sequence=sequence), 0.0, UNIX)
    for_right = lacking(left, Digest(tuple(right.digest())), 0.0)
    for_left = lacking(right, Digest(tuple(left.digest())), 0.0)
    assert all(isinstance(right.offer(wire, 0.0, UNIX), Stored) for wire in for_right)
    assert all(isinstance(left.offer(wire, 0.0, UNIX), Stored) for wire in for_left)
    assert sorted(left.digest(), key=str) == sorted(right.digest(), key=str)


def state_of(count: int) -> LinkState:
    """One that knows of ``count`` agents beside its own."""
    state = graph()
    for number in range(count):
        identity = Identity(number.to_bytes(32, "little"))
        assert isinstance(state.offer(wire_of(identity), 0.0, UNIX), Stored)
    return state


def narrow(state: LinkState) -> Digest:
    """A digest of three neighbouring agents, of which its sender lacks the middle one."""
    ordered = sorted(state.digest(), key=lambda entry: entry.agent_id)
    first, _, last = ordered[10:13]
    return Digest((first, last), first.agent_id, last.agent_id)


def test_a_digest_takes_the_work_that_it_names_however_many_agents_are_known():
    few, many = state_of(30), state_of(600)
    found = []
    for state in (few, many):
        digest = narrow(state)
        assert len(state.newer_than(digest)) == 1
        found.append(instructions(lambda state=state, digest=digest: state.newer_than(digest)))
    assert found[0] == found[1]


@pytest.mark.parametrize("is_in_range", [True, False])
def test_what_has_expired_is_answered_by_name_only(is_in_range):
    state = graph()
    state.offer(wire_of(ALICE, sequence=3), 0.0, UNIX)
    state.expire(TTL_S + 1)
    older = DigestEntry(ALICE.id, 1, 2, INSTANCE)
    first = last = ALICE.id if is_in_range else BOB.id
    assert state.newer_than(Digest((older,), first, last)) == [ALICE.id]
    assert state.newer_than(Digest((), first, last)) == []
