"""Links with their dialers, acceptors and directories, on both sides; only the rest of the agents listens."""

import functools
from typing import Any

import msgspec
import pytest

from actors.links.acceptor import Acceptor
from actors.links.budgets import peer_budgets
from actors.links.dialer import Dialer
from actors.links.peer_directory import CHALLENGE_TIMEOUT_S, PeerDirectory
from actors.links.peer_link import PeerLink
from actors.links.settings import LinkRefs, LinkSettings
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import Config
from mesh.link.futile import EVERYBODY, FutileHandshakes
from mesh.link.opening import mac_key
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance
from tests.actors.company import IDENTITIES, start
from tests.actors.links.link_company import FOREIGN_AUTHORITY, PEER_PORT, TRUST, certificate_of, key_source

LOWER, HIGHER = IDENTITIES[0], IDENTITIES[-1]


class Side:
    """What an agent has to do with links."""

    def __init__(self, world: VirtualWorld, host: str, identity: Identity, **settings: Any) -> None:
        self.world, self.host = world, host
        self.dispatcher = world.dispatcher(host)
        self.meters = Meters()
        self.links: list[Any] = []
        """All that have ever been made."""
        self.settings = LinkSettings(
            identity=identity,
            certificate=certificate_of(identity, host),
            instance=Instance(self.dispatcher.random_bytes(16)),
            key_source=key_source(self.dispatcher, self.dispatcher.random_bytes(32)),
            trust=TRUST,
            relay_budget=RelayBudget(1 << 26),
            budgets=peer_budgets(),
            config=Config(),
        )
        self.settings = msgspec.structs.replace(self.settings, **settings)
        self.begin()

    def begin(self) -> None:
        """Start the core of the agent; again, as another instance."""
        instance = Instance(self.dispatcher.random_bytes(16))
        self.settings = msgspec.structs.replace(self.settings, instance=instance)
        self.route_table, self.connection_table, loopback = (
            start(self.world, host=self.host) for _ in range(3)
        )
        self.directory = start(
            self.world,
            PeerDirectory,
            own_id=self.settings.identity.id,
            relays=True,
            trust=self.settings.trust,
            route_table=self.route_table.ref,
            connection_table=self.connection_table.ref,
            loopback=loopback.ref,
            meters=self.meters,
            host=self.host,
        )

    def accept(self) -> Any:
        return start(
            self.world,
            Acceptor,
            name="the acceptor",
            address=TcpAddress("", PEER_PORT),
            start_link=lambda socket, acceptor, received, payer: self._link(
                socket, None, acceptor, received=received, paid_by=payer
            ),
            opening_keys=lambda: tuple(map(mac_key, self.settings.trust.authorities)),
            max_unauthenticated=64,
            meters=self.meters,
            root=start(self.world, host=self.host).ref,
            host=self.host,
        )

    def dial(self, host: str, expected: AgentId | None = None) -> Any:
        return start(
            self.world,
            Dialer,
            address=TcpAddress(host, PEER_PORT),
            directory=self.directory.ref,
            expected=expected,
            start_link=lambda socket, dialer, pinned, ticket: self._link(
                socket, dialer, None, pinned, ticket=ticket
            ),
            host=self.host,
        )

    def _link(self, socket: Any, dialer: Any, acceptor: Any, expected: Any = None, **given: Any) -> Any:
        ref = PeerLink.start(
            self.dispatcher,
            socket=socket,
            is_dialer=dialer is not None,
            settings=self.settings,
            refs=LinkRefs(self.directory.ref, self.route_table.ref, self.connection_table.ref),
            meters=self.meters,
            dialer=dialer,
            acceptor=acceptor,
            expected=expected,
            **({"ticket": b"", "received": b"", "paid_by": EVERYBODY} | given),
        )
        self.links.append(self.dispatcher.actors[-1])
        return ref

    @property
    def up(self) -> list[Any]:
        return [link for link in self.links if link.ref.is_alive()]

    @property
    def routes_heard(self) -> list[str]:
        """What the route table has heard of links."""
        return [type(message).__name__ for message in self.route_table.heard if "Link" in str(message)]


@pytest.fixture
def world(caplog):
    with VirtualWorld(1) as world:
        yield world
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


def sides(world, *, lower_dials_first=True, **settings):
    one = Side(world, "one", LOWER if lower_dials_first else HIGHER)
    other = Side(world, "other", HIGHER if lower_dials_first else LOWER, **settings)
    return one, other


def test_a_dialed_and_an_accepted_link_stay(world):
    one, other = sides(world)
    other.accept()
    world.run(0.1)
    one.dial("other")
    world.run(60.0)
    assert len(one.links) == len(one.up) == len(other.links) == len(other.up) == 1
    assert one.routes_heard[0] == other.routes_heard[0] == "LinkUp"


def test_the_route_table_hears_nothing_of_a_peer_that_does_not_trust_this_agent(world, caplog):
    one, other = sides(world, trust=TrustStore([FOREIGN_AUTHORITY.public_key]))
    other.accept()
    world.run(0.1)
    one.dial("other")
    world.run(20.0)
    assert one.route_table.of(route_messages.LinkUp) == other.route_table.of(route_messages.LinkUp) == []
    assert one.meters.links_refused == other.meters.links_refused == len(one.links)
    assert one.meters.links_lost == other.meters.links_lost == 0
    assert 4 < len(one.links) < 40
    assert "shows no authority that this agent trusts" in caplog.text
    assert "it does not trust the authority that signed this agent's certificate" in caplog.text


def test_another_agent_at_the_address_of_a_peer_is_refused_and_never_sees_who_dialed(world, caplog):
    one, other = sides(world)
    other.accept()
    world.run(0.1)
    expected = IDENTITIES[3].id
    one.dial("other", expected)
    world.run(20.0)
    assert one.route_table.of(route_messages.LinkUp) == other.route_table.of(route_messages.LinkUp) == []
    assert one.meters.peers_unexpected == len(one.links) > 4
    [alarm] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert alarm.startswith("another agent at the address of a peer: ")
    assert f"expected agent {expected.hex()}, found 'other', agent {HIGHER.id.hex()}" in alarm
    assert not any("'one'" in record.getMessage() for record in caplog.records)


def test_the_expected_agent_is_linked(world):
    one, other = sides(world)
    other.accept()
    world.run(0.1)
    one.dial("other", HIGHER.id)
    world.run(2.0)
    assert len(one.up) == len(other.up) == 1
    assert one.meters.peers_unexpected == 0


@pytest.mark.parametrize("lower_dials_first", [True, False])
@pytest.mark.parametrize("pause_s", [0.0, 1.0, 30.0])
def test_two_agents_that_dial_each_other_settle_on_one_link(world, caplog, lower_dials_first, pause_s):
    one, other = sides(world, lower_dials_first=lower_dials_first)
    one.accept()
    other.accept()
    world.run(0.1)
    one.dial("other")
    world.run(pause_s)
    other.dial("one")
    world.run(20.0)
    made, refused = len(one.links), one.meters.links_refused + other.meters.links_refused
    world.run(120.0)
    assert len(one.up) == len(other.up) == 1
    assert len(one.links) == made, "one agent goes on dialing a peer that is linked"
    assert one.meters.links_refused + other.meters.links_refused == refused
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("lower_dials_first", [True, False])
def test_of_two_agents_that_dial_each_other_either_brings_the_link_back(world, lower_dials_first):
    one, other = sides(world, lower_dials_first=lower_dials_first)
    one.accept()
    other.accept()
    world.run(0.1)
    one.dial("other")
    world.run(1.0)
    other.dial("one")
    for _ in range(3):
        world.run(20.0)
        assert len(one.up) == len(other.up) == 1
        world.network.cut("one", "other")
        world.run(10.0)
        assert one.up == other.up == []
        world.network.heal("one", "other")
    world.run(20.0)
    assert len(one.up) == len(other.up) == 1


@pytest.mark.interpreted
def test_a_link_that_was_up_comes_back_at_once_where_neighbours_have_used_up_all_handshakes(
    world, monkeypatch
):
    few = functools.partial(FutileHandshakes, rate=0.001, burst=5.0, spare_rate=0.001, spare_burst=5.0)
    monkeypatch.setattr("actors.links.acceptor.FutileHandshakes", few)
    one, other = sides(world)
    other.accept()
    world.run(0.1)
    one.dial("other")
    world.run(1.0)
    hostile = Side(world, "one", IDENTITIES[1], trust=TrustStore([FOREIGN_AUTHORITY.public_key]))
    hostile.dial("other")  # each time it ends the handshake when it sees the certificate
    world.run(10.0)
    newcomer = Side(world, "one", IDENTITIES[2])
    newcomer.dial("other")
    for comings in range(2, 10):
        world.run(10.0)
        one.up[0].ref.tell(link_messages.CloseLink("for a test"))
        world.run(1.0)
        assert len(one.up) == len(other.up) == 1
        assert len(one.links) == comings, "each time with the first handshake"
    assert newcomer.up == []


def test_links_do_not_outlive_the_directory_that_admitted_them(world):
    one, other = sides(world)
    one.accept()
    world.run(0.1)
    dialer = other.dial("one")
    world.run(2.0)
    [old] = other.links
    other.directory.ref.stop(block=False)
    dialer.ref.stop(block=False)
    world.run(0.5)
    assert not old.ref.is_alive()
    other.begin()
    other.dial("one")
    world.run(60.0)
    assert len(other.links) == 2
    assert len(other.up) == len(one.up) == 1
    assert one.routes_heard.count("LinkUp") == 2


def test_a_restarted_peer_is_linked_again_as_soon_as_its_first_link_is_found_dead(world):
    one, other = sides(world)
    one.accept()
    world.run(0.1)
    other.dial("one")
    world.run(2.0)
    world.network.cut("one", "other")
    other.dispatcher.stop()
    world.network.heal("one", "other")
    again = Side(world, "other", HIGHER)
    again.dial("one")
    world.run(CHALLENGE_TIMEOUT_S + 1.0)
    assert len(again.up) == len(one.up) == 1


def test_a_copy_of_an_agent_is_refused_and_told_why(world, caplog):
    one, other = sides(world)
    one.accept()
    world.run(0.1)
    other.dial("one")
    world.run(2.0)
    copy = Side(world, "copy", HIGHER)
    copy.dial("one")
    world.run(30.0)
    assert copy.up == []
    assert len(other.up) == len(one.up) == 1
    assert copy.route_table.of(route_messages.LinkUp) == []
    told = "duplicate identity: another running agent has this identity key"
    assert len([record for record in caplog.records if told in record.getMessage()]) == 1


def test_a_thief_who_copies_the_instance_too_is_refused_and_all_three_hear_of_it(world, caplog):
    one, other = sides(world)
    one.accept()
    world.run(0.1)
    other.dial("one")
    world.run(2.0)
    genuine = list(other.up)
    thief = Side(world, "thief", HIGHER)
    thief.settings = msgspec.structs.replace(thief.settings, instance=other.settings.instance)
    thief.dial("one")
    world.run(30.0)
    assert thief.up == []
    assert other.up == genuine
    assert thief.route_table.of(route_messages.LinkUp) == []
    lines = [record.getMessage() for record in caplog.records]
    assert sum("runs at" in line and "the second is refused" in line for line in lines) == 1
    assert sum("has this agent's identity key" in line for line in lines) == 1
    assert sum("has this identity key" in line for line in lines) == 1


def test_a_challenger_is_not_forgotten_when_the_first_instance_links_anew(world):
    own, peer_id = start(world), HIGHER.id
    directory = start(
        world,
        PeerDirectory,
        own_id=LOWER.id,
        relays=True,
        trust=TRUST,
        route_table=own.ref,
        connection_table=own.ref,
        loopback=own.ref,
        meters=Meters(),
    )

    def link(instance: bytes) -> Any:
        ear = start(world)
        directory.ref.tell(
            directory_messages.LinkEstablished(
                link=ear.ref,
                peer_id=peer_id,
                peer_instance=Instance(instance * 16),
                peer_static=instance * 32,
                peer_name="peer",
                certificate=read_certificate(certificate_of(HIGHER)),
                address="there",
                is_dialer=False,
                rtt_s=0.01,
                dialer=None,
            )
        )
        world.run(0.0)
        return ear

    first, challenger, again = link(b"A"), link(b"B"), link(b"A")
    world.run(CHALLENGE_TIMEOUT_S + 0.1)
    assert first.of(link_messages.CloseLink)
    assert len(again.of(link_messages.ChallengePeer)) == 1
    assert len(challenger.of(link_messages.AdmitLink)) == 1
