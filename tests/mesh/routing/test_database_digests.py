from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.link.bodies import Digest
from mesh.routing.record_outcomes import Stored
from tests.mesh.routing.database_company import (
    ALICE,
    BOB,
    CAROL,
    OWN,
    UNIX,
    digest_of,
    graph,
    lacking,
    names,
    wire_of,
)


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


@settings(deadline=None)
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
