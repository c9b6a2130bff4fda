from mesh.link.frames import FrameType
from tests.mesh.routing.route_table_company import (
    ALICE,
    BOB,
    IDENTITIES,
    OTHER_INSTANCE,
    OWN,
    RTT_S,
    UNIX,
    hear,
    linked,
    records_in,
    wire_of,
)


def test_the_link_to_a_restarted_peer_is_told_of_once_its_present_record_is_here():
    """Else the mesh would find a way to what the instance before it offered."""
    state = linked(ALICE)
    hear(state, ALICE, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    effects = state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    assert records_in(effects) == []
    assert [send.frame_type for send in effects.sends] == [FrameType.WANT_REVOCATIONS, FrameType.DIGEST]
    assert state.link_measured(BOB, 2 * RTT_S, 2.0, UNIX).sends == []
    present = wire_of(IDENTITIES[2], sequence=1, instance=OTHER_INSTANCE)
    effects = hear(state, BOB, (present,), 3.0, UNIX)
    told = dict(records_in(effects))
    assert {body.public_key for body in told[ALICE,]} == {OWN.public_key, IDENTITIES[2].public_key}
    [own] = [body for body in told[ALICE,] if body.public_key == OWN.public_key]
    assert {neighbour.id for neighbour in own.neighbours} == {ALICE, BOB}


def test_the_link_of_a_restarted_peer_that_takes_the_old_ones_place_is_not_taken_for_it():
    state = linked(ALICE, BOB)
    hear(state, BOB, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    effects = state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    [(_, [own])] = records_in(effects)
    assert {neighbour.id for neighbour in own.neighbours} == {ALICE}


def test_the_link_to_a_peer_that_is_gone_before_its_record_came_is_forgotten():
    state = linked(ALICE)
    hear(state, ALICE, (wire_of(IDENTITIES[2]),), 0.0, UNIX)
    state.link_up(BOB, OTHER_INSTANCE, RTT_S, 1.0, UNIX)
    state.link_down(BOB, 2.0, UNIX)
    present = wire_of(IDENTITIES[2], sequence=1, instance=OTHER_INSTANCE)
    effects = hear(state, ALICE, (present,), 3.0, UNIX)
    assert OWN.public_key not in {body.public_key for _, bodies in records_in(effects) for body in bodies}
