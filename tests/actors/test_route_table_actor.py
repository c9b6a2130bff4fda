import logging
from typing import Any

import msgspec
import pytest

from actors.messages import peer_link as link_messages
from actors.messages import route_table as messages
from actors.messages.route_table import RoutesChanged
from actors.route_table import RouteTable
from actors.runtime.actor import Actor
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.agent.log_repetitions import MAX_SAMPLED, RepetitionFilter
from mesh.alarms import AlarmBook, AlarmKind
from mesh.config.schema import RoutingSection
from mesh.link.bodies import Digest, WireRecord, decode_digest, decode_records
from mesh.link.frames import FrameType
from mesh.routing.effects import RouteCounts
from mesh.routing.origination import FIRST_RECORD_S, JUMP_SEQUENCES, OwnAgent
from mesh.routing.records import EndpointEntry, ListenerEntry, RecordBody, decode_body
from mesh.routing.routes import RouteSnapshot
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.mesh.routing import route_table_company

AUTHORITY = Identity(bytes(32))
IDENTITIES = [Identity(bytes((number,)) * 32) for number in range(1, 6)]
OWN = IDENTITIES[0]
ALICE, BOB = IDENTITIES[1].id, IDENTITIES[2].id
RTT_S = 0.001
OWN_INSTANCE, INSTANCE = Instance(b"i" * 16), Instance(b"j" * 16)


def certificate_of(identity: Identity) -> bytes:
    return issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name="agent",
        not_before=int(UNIX_START_S),
        not_after=int(UNIX_START_S) + 100_000,
        may_register=["my-*"],
        may_use=["*"],
        may_relay=True,
    )


def start_table(
    world: VirtualWorld,
    identity: Identity = OWN,
    host: str = "here",
    alarms: AlarmBook | None = None,
    **settings,
):
    certificate = certificate_of(identity)
    return RouteTable.start(
        world.dispatcher(host),
        identity=identity,
        fixed=OwnAgent(certificate, session_key=b"s" * 32, instance=OWN_INSTANCE, relays=True),
        certificate=read_certificate(certificate),
        trust=TrustStore([AUTHORITY.public_key]),
        shared=SharedSecrets(key_pair(b"s" * 32)),
        settings=RoutingSection(**settings),
        alarms=alarms or AlarmBook(),
        root=Ear.start(world.dispatcher(host), []),
    )


class Ear(Actor[Any]):
    """A link or a subscriber that only listens."""

    def __init__(self, dispatcher, heard: list[Any]) -> None:
        super().__init__(dispatcher)
        self.heard = heard

    def on_receive(self, message: Any) -> None:
        self.heard.append(message)


class Wire(Actor[Any]):
    """A link's end that hands what it is to send to the route table at the other end."""

    def __init__(self, dispatcher, own_id: AgentId, other) -> None:
        super().__init__(dispatcher)
        self.own_id = own_id
        self.other = other

    def on_receive(self, message: link_messages.SendControl) -> None:
        match message.frame_type:
            case FrameType.RECORDS:
                self.tell(self.other, messages.RecordsArrived(self.own_id, decode_records(message.body)))
            case FrameType.DIGEST:
                self.tell(self.other, messages.DigestArrived(self.own_id, decode_digest(message.body)))
            case FrameType.WANT_REVOCATIONS:
                pass
            case unknown:
                raise AssertionError(unknown)


@pytest.fixture
def world():
    with VirtualWorld(seed=1) as world:
        yield world


def listen(world: VirtualWorld):
    heard: list[Any] = []
    return Ear.start(world.dispatcher("here"), heard), heard


def ask(world: VirtualWorld, table, question):
    future = table.ask(question, block=False)
    world.run(0.0)
    return future.get(timeout=0)


def bodies_sent(heard: list[Any]) -> list[RecordBody]:
    return [
        decode_body(wire.signed)
        for message in heard
        if isinstance(message, link_messages.SendControl) and message.frame_type is FrameType.RECORDS
        for wire in decode_records(message.body)
    ]


def wire_of(identity: Identity, sequence: int = 0, **changes) -> WireRecord:
    certificate = certificate_of(identity)
    return route_table_company.wire_of(identity, sequence=sequence, certificate=certificate, **changes)


def test_a_new_link_hears_the_record_and_the_digest(world):
    table = start_table(world)
    link, heard = listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(0.2)
    body = bodies_sent(heard)[-1]
    assert [neighbour.id for neighbour in body.neighbours] == [ALICE]
    assert body.epoch == int(UNIX_START_S * 1000)
    assert [message.frame_type for message in heard].count(FrameType.DIGEST) == 1


def test_records_are_passed_on_to_the_other_links(world):
    table = start_table(world)
    (source, from_source), (link, heard) = listen(world), listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, source, RTT_S))
    table.tell(messages.LinkUp(BOB, INSTANCE, link, RTT_S))
    world.run(5.0)
    from_source.clear()
    heard.clear()
    table.tell(messages.RecordsArrived(ALICE, (wire_of(IDENTITIES[3]),)))
    world.run(0.0)
    assert [body.public_key for body in bodies_sent(heard)] == [IDENTITIES[3].public_key]
    assert from_source == []
    table.tell(messages.DigestArrived(ALICE, Digest(())))
    world.run(0.0)
    assert {body.public_key for body in bodies_sent(from_source)} == {
        OWN.public_key,
        IDENTITIES[3].public_key,
    }


def test_who_brings_a_forged_record_loses_its_link(world):
    table = start_table(world)
    link, heard = listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(1.0)
    heard.clear()
    forged = msgspec.structs.replace(wire_of(IDENTITIES[3]), signature=bytes(64))
    table.tell(messages.RecordsArrived(ALICE, (forged,)))
    world.run(1.0)
    [message] = heard
    assert isinstance(message, link_messages.CloseLink)
    assert "does not verify" in message.reason
    assert table.is_alive()
    assert ask(world, table, messages.GetCounts()).links == 0


def test_the_end_of_a_link_that_was_replaced_says_nothing(world):
    table = start_table(world)
    (old, _), (new, heard) = listen(world), listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, old, RTT_S))
    table.tell(messages.LinkUp(ALICE, INSTANCE, new, RTT_S))
    table.tell(messages.LinkDown(ALICE, old.actor_urn))
    world.run(5.0)
    assert ask(world, table, messages.GetCounts()).links == 1
    heard.clear()
    table.tell(messages.AdvertiseEndpoint("e", EndpointEntry("my-api", None)))
    world.run(0.0)
    assert len(bodies_sent(heard)) == 1
    table.tell(messages.LinkDown(ALICE, new.actor_urn))
    assert ask(world, table, messages.GetCounts()).links == 0


def test_a_link_that_has_ended_is_no_trouble(world):
    table = start_table(world)
    link, _ = listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(5.0)
    link.stop(block=False)
    world.run(0.0)
    table.tell(messages.SetDraining(draining=True))
    world.run(1.0)
    assert table.is_alive()


def test_subscribers_hear_of_the_present_and_of_each_change_until_they_end(world):
    table = start_table(world)
    world.run(1.0)
    (subscriber, heard), (leaver, missed) = listen(world), listen(world)
    for each in (subscriber, leaver):
        table.tell(messages.Subscribe(each))
    world.run(0.0)
    [present] = heard
    assert isinstance(present, RoutesChanged)
    assert present.snapshot.candidates == {}
    leaver.stop(block=False)
    world.run(0.0)
    table.tell(messages.AdvertiseEndpoint("e", EndpointEntry("my-api", None)))
    world.run(0.0)
    assert "my-api" in heard[-1].snapshot.candidates
    assert heard[-1].snapshot is ask(world, table, messages.GetSnapshot())
    assert len(missed) == 1
    assert table.is_alive()


def test_a_burst_of_changes_is_told_at_once_and_once_more(world):
    table = start_table(world)
    world.run(1.0)
    subscriber, heard = listen(world)
    table.tell(messages.Subscribe(subscriber))
    for number in range(50):
        table.tell(messages.AdvertiseEndpoint("e", EndpointEntry(f"my-{number}", None)))
        if number % 10 == 9:
            world.run(0.0)
    assert [list(message.snapshot.candidates) for message in heard] == [[], ["my-9"]]
    world.run(0.02)
    assert [list(message.snapshot.candidates) for message in heard] == [[], ["my-9"], ["my-49"]]


def test_what_cannot_be_told_is_logged_and_a_problem_until_it_is_gone(world, caplog):
    table = start_table(world)
    with caplog.at_level(logging.WARNING, logger="mesh.routing.routes"):
        table.tell(messages.AdvertiseEndpoint("e", EndpointEntry("k" * 256, None)))
        world.run(1.0)
    [problem] = ask(world, table, messages.GetProblems())
    assert problem.startswith("1 endpoint not told to the mesh (keys have 1 to 255 characters): 'kkk")
    assert caplog.messages == [f"this agent: {problem}"]
    table.tell(messages.AdvertiseEndpoint("e", None))
    world.run(1.0)
    assert ask(world, table, messages.GetProblems()) == ()


def test_what_is_refused_is_logged(world, caplog):
    table = start_table(world)
    with caplog.at_level(logging.WARNING, logger="mesh.routing.routes"):
        table.tell(messages.AdvertiseEndpoint("e", EndpointEntry("other", None)))
        world.run(1.0)
    [line] = caplog.messages
    assert line.startswith("this agent: endpoint ignored: ")
    assert "does not permit it to register 'other'" in line


def test_the_outside_asks_for_routes_and_figures(world):
    table = start_table(world)
    world.run(FIRST_RECORD_S)
    snapshot = ask(world, table, messages.GetSnapshot())
    assert isinstance(snapshot, RouteSnapshot)
    assert set(snapshot.records) == {OWN.id}
    counts = ask(world, table, messages.GetCounts())
    assert isinstance(counts, RouteCounts)
    assert counts.agents == 1


def test_a_quiet_table_wakes_up_for_its_refreshes_only(world):
    table = start_table(world, advertise_interval_s=10.0)
    link, heard = listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(1.0)
    heard.clear()
    world.run(100.0)
    assert len(bodies_sent(heard)) == 10
    assert len(heard) == 10


def test_a_restarted_table_is_believed_at_once(world):
    first = start_table(world)
    world.run(1.0)
    first.stop(block=False)
    second = start_table(world)
    link, heard = listen(world)
    second.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(1.0)
    assert bodies_sent(heard)[0].epoch == int((UNIX_START_S + 1.0) * 1000)


def test_a_chain_of_tables_agrees_and_one_leaves(world):
    tables = [start_table(world, identity, f"host-{number}") for number, identity in enumerate(IDENTITIES)]
    for number in range(len(tables) - 1):
        for here, there in ((number, number + 1), (number + 1, number)):
            wire = Wire.start(world.dispatcher(f"host-{here}"), IDENTITIES[here].id, tables[there])
            tables[here].tell(messages.LinkUp(IDENTITIES[there].id, INSTANCE, wire, RTT_S))
    tables[4].tell(messages.AdvertiseEndpoint("e", EndpointEntry("my-api", "localhost:3000")))
    tables[0].tell(messages.AdvertiseListener("l", ListenerEntry("my-api", ":3000")))
    world.run(3.0)
    for number, table in enumerate(tables):
        snapshot = ask(world, table, messages.GetSnapshot())
        [candidate] = snapshot.candidates["my-api"]
        assert (candidate.agent_id, candidate.hop_count) == (IDENTITIES[4].id, 4 - number)
        assert snapshot.records[OWN.id].listeners == (ListenerEntry("my-api", ":3000"),)
        assert snapshot.graph.paths_from(OWN.id)[IDENTITIES[4].id] == tuple(each.id for each in IDENTITIES)
    for draining in (True, False, True):
        tables[2].tell(messages.SetDraining(draining))
        world.run(0.02)
        snapshot = ask(world, tables[0], messages.GetSnapshot())
        assert snapshot.records[IDENTITIES[2].id].body.draining is draining
        assert set(snapshot.next_hops) == {identity.id for identity in IDENTITIES[1:]}
    tables[2].tell(messages.StopRelaying())
    world.run(0.02)
    snapshot = ask(world, tables[0], messages.GetSnapshot())
    assert set(snapshot.next_hops) == {identity.id for identity in IDENTITIES[1:3]}
    tables[2].tell(messages.Withdraw(tables[2]))
    world.run(0.02)
    assert IDENTITIES[2].id not in ask(world, tables[0], messages.GetSnapshot()).records


def test_no_number_of_lines_about_others_hides_that_another_agent_has_this_agents_key(world, caplog):
    book = AlarmBook()
    table = start_table(world, alarms=book)
    link, _ = listen(world)
    table.tell(messages.LinkUp(ALICE, INSTANCE, link, RTT_S))
    world.run(1.0)
    keys = tuple(EndpointEntry(f"not-mine-{number}", None) for number in range(8))
    with caplog.at_level(logging.WARNING):
        for identity in (Identity(bytes((number,)) * 32) for number in range(10, 110)):
            crowd = wire_of(identity, endpoints=keys)
            table.tell(messages.RecordsArrived(ALICE, (crowd,)))
        for sequence in range(0, 40 * JUMP_SEQUENCES, 2 * JUMP_SEQUENCES):  # one may be of a run before this
            own = wire_of(OWN, sequence=sequence, epoch=int(UNIX_START_S * 1000))
            table.tell(messages.RecordsArrived(ALICE, (own,)))
            world.run(1.5)
    assert len(caplog.records) > 800
    only_what_is_written = RepetitionFilter()
    written = [each.getMessage() for each in caplog.records if only_what_is_written.filter(each)]
    assert len(written) <= 100 * MAX_SAMPLED + 2
    assert [line for line in written if line.startswith("identity: another running agent has")]
    denied = [count.times for count in book.counts() if count.kind is AlarmKind.GRANT]
    assert denied == [8] * 100
