"""Which connections end here, and how they end: who hears of what, and frames that are for nobody."""

import pytest

from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from mesh.connection.farewells import FAREWELLS_S
from mesh.link.frames import FrameType
from mesh.link.unknown import UNKNOWN_BURST
from mesh.trust.identity import NO_AGENT
from mesh.trust.policy import Policy
from scripts.lab.frames import changed
from tests.actors.company import record_of, start
from tests.actors.connections.connection_table_company import (
    ALICE,
    ALICE_INSTANCE,
    BOB,
    BOB_INSTANCE,
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


# Ingress


def test_an_ingress_connection_gets_a_number_of_its_own_and_its_link(house):
    first, one = house.register()
    second, two = house.register(STRANGER.id)
    certificate = record_of(ALICE, instance=b"a").certificate
    rights = connection_messages.RightsChanged(ALICE.id, certificate, Policy({}, {}))
    assert first.heard == [connection_messages.IngressRegistered(ALICE.id, one, house.link.ref, rights)]
    assert second.heard == [connection_messages.IngressRegistered(STRANGER.id, two, None)]
    assert one != two
    assert house.counts() == (2, 0, 0)


def test_a_connection_that_died_while_registering_is_not_kept(house):
    connection = start(house.world)
    connection.ref.stop(block=False)
    house.world.run(0.0)
    house.tell(messages.RegisterIngress(connection.ref, ALICE.id, ALICE_INSTANCE, house.numbers.take()))
    assert house.counts() == (0, 0, 0)


def test_frames_reach_their_connection_in_order(house):
    (first, one), (second, two) = house.register(), house.register()
    frames = [
        frame(FrameType.DATA, number, from_exit=True, body=bytes((position,)))
        for position, number in enumerate((one, two, one, one, two))
    ]
    house.arrive(*frames)
    assert first.heard[1:] == [
        connection_messages.SegmentsArrived((frames[0], frames[2], frames[3]), NO_AGENT)
    ]
    assert second.heard[1:] == [connection_messages.SegmentsArrived((frames[1], frames[4]), NO_AGENT)]


@pytest.mark.parametrize(
    "changes", [{"from_exit": False}, {"source": BOB.id}, {"connection": 99}], ids=["end", "agent", "number"]
)
def test_frames_of_others_do_not_reach_a_connection(house, changes):
    connection, number = house.register()
    right = frame(FrameType.DATA, number, from_exit=True)
    house.arrive(changed(right, **changes))
    assert len(connection.heard) == 1
    assert house.meters.frames_unknown == 1


def test_a_connection_hears_when_its_path_changes_and_only_then(house):
    connection, _ = house.register()
    house.forward({ALICE.id: house.link.ref})
    assert len(connection.heard) == 1
    house.forward({ALICE.id: house.other_link.ref})
    house.forward({BOB.id: house.other_link.ref})
    assert connection.heard[1:] == [
        connection_messages.PathChanged(ALICE.id, house.other_link.ref),
        connection_messages.PathChanged(ALICE.id, None),
    ]


def test_a_connection_hears_when_the_other_end_runs_as_a_new_instance(house):
    (with_alice, _), (with_bob, _) = house.register(ALICE.id), house.register(BOB.id, BOB_INSTANCE)
    house.routes(record_of(ALICE, instance=b"A"), record_of(BOB, instance=b"b"))
    assert with_alice.heard[1:] == [connection_messages.PeerRestarted(ALICE.id)]
    assert len(with_bob.heard) == 1


@pytest.mark.interpreted
def test_news_of_an_agent_that_is_not_restarted_costs_its_connections_nothing(house, monkeypatch):
    house.routes(record_of(ALICE, instance=ALICE_INSTANCE[:1]), record_of(BOB, instance=BOB_INSTANCE[:1]))
    for _ in range(100):
        house.register(ALICE.id)
    looked_at = []
    monkeypatch.setattr(type(house.table), "_tell_restarted", lambda _, remote, *__: looked_at.append(remote))
    for number in range(50):
        house.routes(
            record_of(ALICE, f"key-{number}", instance=ALICE_INSTANCE[:1]),
            record_of(BOB, instance=BOB_INSTANCE[:1]),
        )
    assert looked_at == []
    house.routes(record_of(ALICE, instance=b"z"))
    assert looked_at == [ALICE.id]


# Frames for nobody


def test_frames_of_unknown_connections_are_answered(house):
    house.arrive(frame(FrameType.DATA, 42, hop_limit=3), frame(FrameType.ACK, 42))
    (answer,) = house.sent()
    assert (answer.type, answer.source, answer.destination) == (FrameType.UNKNOWN, OWN.id, ALICE.id)
    assert (answer.connection, answer.from_exit, answer.body) == (42, True, b"")


@pytest.mark.parametrize("kind", [FrameType.UNKNOWN, FrameType.REJECT])
def test_what_needs_no_answer_gets_none(house, kind):
    house.arrive(frame(kind, 42, from_exit=True))
    assert house.sent() == []


def test_where_no_link_leads_nothing_is_answered(house):
    house.arrive(frame(FrameType.DATA, 42, STRANGER.id))
    assert house.sent() == []


def test_answers_to_unknown_connections_are_rationed(house):
    for number in range(int(UNKNOWN_BURST) * 2):
        house.table.ref.tell(messages.FramesArrived((frame(FrameType.DATA, number),), ALICE.id))
    house.world.run(0.0)
    assert len(house.sent()) == UNKNOWN_BURST
    house.world.run(1.0)
    house.arrive(frame(FrameType.DATA, 1))
    assert len(house.sent()) == UNKNOWN_BURST + 1


def test_nobody_uses_up_the_answers_to_another_not_even_in_its_name(house):
    for number in range(int(UNKNOWN_BURST) * 2):
        house.table.ref.tell(messages.FramesArrived((frame(FrameType.DATA, number),), BOB.id))
        stray = frame(FrameType.DATA, number, BOB.id)
        house.table.ref.tell(messages.FramesArrived((stray,), BOB.id))
    house.world.run(0.0)
    before = len(house.sent())
    house.table.ref.tell(messages.FramesArrived((frame(FrameType.DATA, 1),), ALICE.id))
    house.world.run(0.0)
    assert len(house.sent()) == before + 1


def test_frames_of_a_connection_that_has_died_are_answered(house):
    connection, number = house.register()
    connection.ref.stop(block=False)
    house.world.run(0.0)
    house.arrive(frame(FrameType.DATA, number, from_exit=True))
    assert [sent.type for sent in house.sent()] == [FrameType.UNKNOWN]
    assert house.counts() == (0, 0, 0)


# Farewells


FAREWELL = (frame(FrameType.FIN, from_exit=True, source=OWN.id, destination=ALICE.id),)


def ended_with_a_farewell(house, number=7):
    house.arrive(open_frame(number))
    house.tell(messages.ConnectionEnded(ALICE.id, number, is_exit=True, farewell=FAREWELL))


def test_a_farewell_is_said_again_to_whoever_repeats_its_end(house):
    ended_with_a_farewell(house)
    house.arrive(frame(FrameType.FIN), frame(FrameType.PROBE))
    assert house.sent() == [*FAREWELL]
    assert house.meters.frames_unknown == 0
    house.world.run(FAREWELLS_S)
    house.arrive(frame(FrameType.FIN))
    assert [sent.type for sent in house.sent()[1:]] == [FrameType.UNKNOWN]


def test_a_farewell_is_none_to_a_new_instance_that_uses_the_number_again(house):
    ended_with_a_farewell(house)
    house.routes(record_of(ALICE, instance=b"c"))
    house.arrive(open_frame(7, body=b"c" * 16 + OWN_INSTANCE + b"handshake"))
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    house.arrive(frame(FrameType.FIN))
    assert [sent.type for sent in house.sent()] == [FrameType.UNKNOWN]


# Leaving


def test_reports_when_no_connection_is_left(house):
    root = start(house.world)
    _, number = house.register()
    house.arrive(open_frame())
    house.tell(messages.ReportEmpty(root.ref))
    house.tell(messages.ConnectionEnded(ALICE.id, number, is_exit=False))
    assert root.heard == []
    house.tell(messages.ConnectionEnded(ALICE.id, 7, is_exit=True))
    assert root.heard == [messages.ConnectionsGone()]


def test_one_that_stands_by_for_a_client_is_none(house):
    root, standby = start(house.world), start(house.world)
    number = house.numbers.reserve()
    house.tell(messages.RegisterIngress(standby.ref, ALICE.id, ALICE_INSTANCE, number))
    _, other = house.register()
    house.tell(messages.ReportEmpty(root.ref))
    assert root.heard == []
    house.tell(messages.ConnectionEnded(ALICE.id, other, is_exit=False))
    assert root.heard == [messages.ConnectionsGone()]


def test_reports_at_once_where_there_is_none(house):
    root = start(house.world)
    house.tell(messages.ReportEmpty(root.ref))
    assert root.heard == [messages.ConnectionsGone()]


def test_an_end_that_is_reported_twice_counts_once(house):
    _, number = house.register()
    house.register()
    for _ in range(2):
        house.tell(messages.ConnectionEnded(ALICE.id, number, is_exit=False))
    assert house.counts() == (1, 0, 0)


def test_closes_every_connection_on_command(house):
    connection, _ = house.register()
    house.arrive(open_frame())
    house.tell(messages.CloseConnections("why"))
    assert connection.heard[-1] == connection_messages.CloseConnection("why")
    assert house.exits[0].heard == [connection_messages.CloseConnection("why")]


# Standing by


def test_one_that_stands_by_hears_what_it_has_to_and_is_not_counted(house):
    connection = start(house.world)
    number = house.numbers.reserve()
    house.tell(messages.RegisterIngress(connection.ref, ALICE.id, ALICE_INSTANCE, number))
    assert house.counts() == (0, 0, 0)
    house.forward({})
    house.routes(record_of(ALICE, instance=b"x"))
    assert connection.heard[1:] == [
        connection_messages.PathChanged(ALICE.id, None),
        connection_messages.PeerRestarted(ALICE.id),
    ]
    house.numbers.use(number)
    assert house.counts() == (1, 0, 0)


def test_one_that_ends_before_its_client_came_leaves_nothing(house):
    connection = start(house.world)
    number = house.numbers.reserve()
    house.tell(
        messages.RegisterIngress(connection.ref, ALICE.id, ALICE_INSTANCE, number),
        messages.ConnectionEnded(ALICE.id, number, False),
    )
    assert house.counts() == (0, 0, 0)
    assert house.table._connections == house.table._by_remote == {}
    assert not house.numbers.is_reserved(number)
