"""Which connections end here; connections, links and the root are actors that only listen."""

from typing import Any

import msgspec
import pytest

from actors.connections.connection_table import UNKNOWN_BURST, ConnectionTable
from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from actors.messages import peer_link as link_messages
from actors.messages.route_table import RoutesChanged
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.alarms import AlarmKind
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.link.frames import Frame, FrameType
from mesh.sampling import ALARM_MARK
from mesh.trust.identity import NO_AGENT, AgentId, Instance
from mesh.trust.naming import named
from tests.actors.company import IDENTITIES, Ear, record_of, routes_of, start

OWN, ALICE, BOB, STRANGER = IDENTITIES[:4]
OWN_INSTANCE = Instance(b"o" * 16)
ALICE_INSTANCE = Instance(b"a" * 16)
BOB_INSTANCE = Instance(b"b" * 16)


def frame(kind: FrameType, number: int = 7, source: AgentId = ALICE.id, **changes: Any) -> Frame:
    made = Frame(kind, False, source, OWN.id, number, 0, b"sealed")
    return msgspec.structs.replace(made, **changes)


def open_frame(number: int = 7, source: AgentId = ALICE.id, body: bytes = b"") -> Frame:
    instances = ALICE_INSTANCE + OWN_INSTANCE
    return frame(FrameType.OPEN, number, source, body=body or instances + b"handshake")


class House:
    def __init__(self, max_pending_opens: int = 100) -> None:
        self.world = VirtualWorld(1)
        self.meters = Meters()
        self.numbers = ConnectionNumbers()
        self.exits: list[Ear] = []
        self.exit_arguments: list[tuple[Any, ...]] = []
        self.link, self.other_link = start(self.world), start(self.world)
        self.table = start(
            self.world,
            ConnectionTable,
            own_id=OWN.id,
            instance=OWN_INSTANCE,
            numbers=self.numbers,
            start_exit=self._start_exit,
            max_pending_opens=max_pending_opens,
            meters=self.meters,
        )
        self.routes(record_of(ALICE, instance=b"a"), record_of(BOB, instance=b"b"))
        self.forward({ALICE.id: self.link.ref, BOB.id: self.link.ref})

    def _start_exit(self, *arguments: Any) -> Any:
        ref = Ear.start(self.world.dispatcher("here"))
        self.exits.append(self.world.dispatcher("here").actors[-1])
        self.exit_arguments.append(arguments)
        return ref

    def tell(self, *told: Any) -> None:
        for message in told:
            self.table.ref.tell(message)
        self.world.run(0.0)

    def arrive(self, *frames: Frame) -> None:
        self.tell(messages.FramesArrived(frames))

    def routes(self, *records: Any) -> None:
        self.tell(RoutesChanged(routes_of(OWN, *records)))

    def forward(self, links: dict[AgentId, Any]) -> None:
        self.tell(link_messages.ForwardingChanged(links))

    def register(
        self, exit_id: AgentId = ALICE.id, exit_instance: Instance = ALICE_INSTANCE
    ) -> tuple[Ear, int]:
        connection = start(self.world)
        number = self.numbers.take()
        self.tell(messages.RegisterIngress(connection.ref, exit_id, exit_instance, number))
        return connection, number

    def counts(self) -> tuple[int, int, int]:
        counts = self.world.ask(self.table.ref, messages.GetConnectionCounts())
        return counts.ingress, counts.exit, counts.pending_opens

    def sent(self, link: Ear | None = None) -> list[Frame]:
        commands = (link or self.link).of(link_messages.SendFrames)
        return [sent for command in commands for sent in command.frames]


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


# Ingress


def test_an_ingress_connection_gets_a_number_of_its_own_and_its_link(house):
    first, one = house.register()
    second, two = house.register(STRANGER.id)
    assert first.heard == [connection_messages.IngressRegistered(ALICE.id, one, house.link.ref)]
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
    assert first.heard[1:] == [connection_messages.SegmentsArrived((frames[0], frames[2], frames[3]))]
    assert second.heard[1:] == [connection_messages.SegmentsArrived((frames[1], frames[4]))]


@pytest.mark.parametrize(
    "changes", [{"from_exit": False}, {"source": BOB.id}, {"connection": 99}], ids=["end", "agent", "number"]
)
def test_frames_of_others_do_not_reach_a_connection(house, changes):
    connection, number = house.register()
    right = frame(FrameType.DATA, number, from_exit=True)
    house.arrive(msgspec.structs.replace(right, **changes))
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
        house.table.ref.tell(messages.FramesArrived((frame(FrameType.DATA, number),)))
    house.world.run(0.0)
    assert len(house.sent()) == UNKNOWN_BURST
    house.world.run(1.0)
    house.arrive(frame(FrameType.DATA, 1))
    assert len(house.sent()) == UNKNOWN_BURST + 1


def test_frames_of_a_connection_that_has_died_are_answered(house):
    connection, number = house.register()
    connection.ref.stop(block=False)
    house.world.run(0.0)
    house.arrive(frame(FrameType.DATA, number, from_exit=True))
    assert [sent.type for sent in house.sent()] == [FrameType.UNKNOWN]
    assert house.counts() == (0, 0, 0)


# Opening


def test_an_open_becomes_an_exit_connection(house):
    opening, early = open_frame(), frame(FrameType.DATA)
    house.arrive(opening, early)
    ((asked, party, record, link),) = house.exit_arguments
    assert asked is opening
    assert (party.id, party.instance, party.session_key) == (ALICE.id, ALICE_INSTANCE, ALICE.public_key)
    assert (record.agent_id, link) == (ALICE.id, house.link.ref)
    assert house.exits[0].heard == [connection_messages.SegmentsArrived((early,))]
    assert house.counts() == (0, 1, 1)
    house.tell(messages.PendingOpenSettled(ALICE.id, 7))
    assert house.counts() == (0, 1, 0)


def test_a_repeated_open_goes_to_the_connection_it_made(house):
    opening = open_frame()
    house.arrive(opening)
    house.arrive(opening)
    assert len(house.exits) == 1
    assert house.exits[0].heard == [connection_messages.SegmentsArrived((opening,))]


@pytest.mark.parametrize(
    "opening",
    [
        open_frame(source=STRANGER.id),
        open_frame(body=b"x" * 16 + OWN_INSTANCE + b"handshake"),
        open_frame(body=ALICE_INSTANCE + b"x" * 16 + b"handshake"),
        open_frame(body=b"short"),
    ],
    ids=["unknown agent", "instance of then", "not this instance", "too short"],
)
def test_an_open_that_cannot_be_meant_is_dropped(house, opening):
    house.arrive(opening)
    assert house.exits == []
    assert house.sent() == []
    assert house.meters.opens_ignored + house.meters.frames_forged == 1


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
    house.tell(messages.FramesArrived((open_frame(number=8, body=b"short"),), BOB.id))
    [alarm] = house.meters.alarms.counts()
    assert (alarm.member, alarm.times) == (named(house.table._records[BOB.id].name, BOB.id), 2)


def test_what_was_recorded_of_an_instance_stays_used_when_its_record_comes_back(house):
    """Its newer record is forgotten after a day, and somebody who kept the old one tells of it again."""
    other = record_of(ALICE, instance=b"n")
    house.arrive(open_frame())
    house.tell(
        messages.OpenAuthenticated(ALICE.id, ALICE_INSTANCE, 7), messages.ConnectionEnded(ALICE.id, 7, True)
    )
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
    house.tell(
        messages.OpenAuthenticated(ALICE.id, ALICE_INSTANCE, 7),
        messages.ConnectionEnded(ALICE.id, 7, is_exit=True),
    )
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
    house.tell(
        messages.OpenAuthenticated(ALICE.id, ALICE_INSTANCE, 7),
        messages.ConnectionEnded(ALICE.id, 7, is_exit=True),
    )
    house.routes(record_of(ALICE, instance=b"A"))
    house.arrive(open_frame(body=b"A" * 16 + OWN_INSTANCE + b"handshake"))
    assert len(house.exits) == 2


def test_no_more_than_so_many_opens_are_pending():
    house = House(max_pending_opens=4)
    from_bob = [
        open_frame(number, BOB.id, BOB_INSTANCE + OWN_INSTANCE + b"handshake") for number in (1, 2, 3)
    ]
    house.arrive(*(open_frame(number) for number in (1, 2, 3)))
    assert len(house.exits) == 2, "half of the places are for the others"
    house.arrive(*from_bob)
    assert len(house.exits) == 4
    assert house.meters.opens_ignored == 2
    house.tell(messages.PendingOpenSettled(ALICE.id, 1))
    house.arrive(from_bob[2])
    assert len(house.exits) == 4
    house.arrive(open_frame(3))
    assert len(house.exits) == 5
    house.tell(messages.ConnectionEnded(ALICE.id, 2, is_exit=True))
    house.arrive(open_frame(4))
    assert house.counts() == (0, 5, 4)
    house.world.stop()


def test_both_ends_of_a_connection_may_be_at_this_agent(house):
    house.routes(record_of(OWN, instance=b"o"))
    house.forward({OWN.id: house.link.ref})
    ingress, number = house.register(OWN.id, OWN_INSTANCE)
    house.arrive(open_frame(number, OWN.id, OWN_INSTANCE * 2 + b"handshake"))
    assert house.counts() == (1, 1, 1)
    answer = frame(FrameType.ACCEPT, number, OWN.id, from_exit=True)
    house.arrive(answer)
    assert ingress.heard[1:] == [connection_messages.SegmentsArrived((answer,))]
    assert house.exits[0].heard == []


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
