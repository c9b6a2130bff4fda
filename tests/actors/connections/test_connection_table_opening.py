"""What becomes of an OPEN that arrives: which are taken, dropped or counted as pending."""

import pytest

from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from actors.messages.route_table import RoutesChanged
from mesh.alarms import AlarmKind
from mesh.link.frames import FrameType
from mesh.routing.detours import Proof
from mesh.sampling import ALARM_MARK
from mesh.trust.identity import NO_AGENT
from mesh.trust.naming import named
from tests.actors.company import record_of, routes_of
from tests.actors.connections.connection_table_company import (
    ALICE,
    ALICE_INSTANCE,
    BOB,
    OWN,
    OWN_INSTANCE,
    STRANGER,
    House,
    frame,
    open_frame,
)


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def test_an_open_becomes_an_exit_connection(house):
    opening, early = open_frame(), frame(FrameType.DATA)
    house.arrive(opening, early)
    (((asked, party, record, _), link, pending),) = house.exit_arguments
    assert asked is opening
    assert (party.id, party.instance, party.session_key) == (ALICE.id, ALICE_INSTANCE, ALICE.public_key)
    assert (record.agent_id, link) == (ALICE.id, house.link.ref)
    assert house.exits[0].heard == [connection_messages.SegmentsArrived((early,), NO_AGENT)]
    assert house.counts() == (0, 1, 1)
    pending.settled(is_in_use=True)
    assert house.counts() == (0, 1, 0)


def test_a_repeated_open_goes_to_the_connection_it_made(house):
    opening = open_frame()
    house.arrive(opening)
    house.arrive(opening)
    assert len(house.exits) == 1
    assert house.exits[0].heard == [connection_messages.SegmentsArrived((opening,), NO_AGENT)]


@pytest.mark.parametrize(
    "opening",
    [
        open_frame(source=STRANGER.id),
        open_frame(body=b"x" * 16 + OWN_INSTANCE + b"handshake"),
        open_frame(body=ALICE_INSTANCE + b"x" * 16 + b"handshake"),
    ],
    ids=["unknown agent", "instance of then", "not this instance"],
)
def test_an_open_that_cannot_be_meant_is_dropped(house, opening):
    house.arrive(opening)
    assert house.exits == []
    assert house.sent() == []
    assert house.meters.opens_ignored == 1


def test_forged_bodies_are_told_with_the_peer_that_passed_them_on(house, caplog):
    house.tell(messages.BodiesForged(ALICE.id, BOB.id, 7, 30), messages.BodiesForged(ALICE.id, BOB.id, 7, 20))
    name = named(house.table._records[BOB.id].name, BOB.id)
    assert house.meters.alarms.counts() == ((AlarmKind.TAMPERING, name, 50),)
    lines = {record.getMessage() for record in caplog.records}
    assert len(lines) == 1
    assert f"came from peer {name}" in lines.pop()
    assert {getattr(record, ALARM_MARK) for record in caplog.records} == {"tampering"}


def test_a_forged_open_is_told_with_the_peer_that_passed_it_on(house):
    house.tell(messages.FramesArrived((open_frame(),), BOB.id))
    house.tell(messages.BodiesForged(ALICE.id, NO_AGENT, 7, 1))
    [alarm] = house.meters.alarms.counts()
    assert (alarm.member, alarm.times) == (named(house.table._records[BOB.id].name, BOB.id), 1)


def test_what_was_recorded_of_an_instance_stays_used_when_its_record_comes_back(house):
    """Its newer record is forgotten after a day, and somebody who kept the old one tells of it again."""
    other = record_of(ALICE, instance=b"n")
    house.arrive(open_frame())
    house.pending().authenticated()
    house.tell(messages.ConnectionEnded(ALICE.id, 7, True))
    house.routes(other)
    house.arrive(open_frame(body=other.instance + OWN_INSTANCE + b"handshake"))
    house.tell(messages.ConnectionEnded(ALICE.id, 7, True))
    house.routes()
    house.routes(record_of(ALICE, instance=b"a"))
    opened = len(house.exits)
    house.arrive(open_frame())
    assert len(house.exits) == opened == 2
    assert house.meters.opens_ignored == 1
    # An agent that is really there goes on.
    house.arrive(open_frame(number=8))
    assert len(house.exits) == 3


def test_a_number_that_has_been_used_opens_nothing(house):
    house.arrive(open_frame())
    house.pending().authenticated()
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    house.arrive(open_frame())
    assert len(house.exits) == 1
    assert house.meters.opens_ignored == 1
    house.arrive(open_frame(8))
    assert len(house.exits) == 2


def test_connections_are_numbered_from_1(house):
    house.arrive(open_frame(number=0))
    assert house.exits == []
    assert house.meters.opens_ignored == 1
    house.arrive(open_frame(number=1))
    assert len(house.exits) == 1


def test_a_number_that_was_only_claimed_stays_free(house):
    house.arrive(open_frame())
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    house.arrive(open_frame())
    assert len(house.exits) == 2


def test_numbers_count_for_each_instance_of_an_agent(house):
    house.arrive(open_frame())
    house.pending().authenticated()
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    house.routes(record_of(ALICE, instance=b"A"))
    house.arrive(open_frame(body=b"A" * 16 + OWN_INSTANCE + b"handshake"))
    assert len(house.exits) == 2


def test_both_ends_of_a_connection_may_be_at_this_agent(house):
    house.routes(record_of(OWN, instance=b"o"))
    house.forward({OWN.id: house.link.ref})
    ingress, number = house.register(OWN.id, OWN_INSTANCE)
    house.arrive(open_frame(number, OWN.id, OWN_INSTANCE * 2 + b"handshake"))
    assert house.counts() == (1, 1, 1)
    answer = frame(FrameType.ACCEPT, number, OWN.id, from_exit=True)
    house.arrive(answer)
    assert ingress.heard[1:] == [connection_messages.SegmentsArrived((answer,), NO_AGENT)]
    assert house.exits[0].heard == []


def suspect_the_usual_hop_to_alice(house):
    """A connection to Alice has failed, and goes on by Bob: what is opened next goes by Bob too."""
    house.forward({ALICE.id: house.link.ref, BOB.id: house.other_link.ref})
    known = record_of(ALICE, instance=b"a"), record_of(BOB, instance=b"b")
    snapshot = routes_of(OWN, *known, next_hops={ALICE.id: ALICE.id, BOB.id: BOB.id})
    snapshot._alternates[ALICE.id] = (BOB.id,)
    house.tell(RoutesChanged(snapshot))
    _, number = house.register()
    house.tell(
        messages.PathFailed(ALICE.id, number, is_exit=False),
        messages.PathProved(ALICE.id, number, is_exit=False, proof=Proof.LOST),
    )
    assert house.meters.first_hops_suspected == 1


def test_an_open_that_is_dropped_leaves_no_detour_behind(house):
    suspect_the_usual_hop_to_alice(house)
    house.arrive(open_frame())
    assert house.exit_arguments[0][1] is house.other_link.ref
    for number in range(8, 108):
        house.arrive(open_frame(number, body=ALICE_INSTANCE + b"x" * 16 + b"handshake"))
    house.arrive(open_frame(0))
    assert house.meters.opens_ignored == 101
    assert len(house.table._detours._detours) == 2, "of the two connections that there are"
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    assert len(house.table._detours._detours) == 1


def test_where_the_way_round_has_no_link_the_usual_one_is_taken(house):
    suspect_the_usual_hop_to_alice(house)
    house.forward({ALICE.id: house.link.ref})
    house.arrive(open_frame())
    assert house.exit_arguments[0][1] is house.link.ref
    assert len(house.table._detours._detours) == 0
