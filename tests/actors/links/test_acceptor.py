"""Where peers arrive: links are actors that only hold their socket."""

import functools
import logging
from typing import Any

import pytest

from actors.accepting import PORT_TAKEN
from actors.links.acceptor import OPENING_TIMEOUT_S, Acceptor
from actors.messages import acceptor as messages
from actors.messages.agent import PartReported
from actors.messages.listener import StopListening
from actors.messages.peer_link import MakeRoom
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.link.futile import FutileHandshakes
from mesh.link.opening import (
    MAX_OPENING_BYTES,
    OWN_VERSIONS,
    TICKET_BYTES,
    mac_key,
    opening_payload,
    with_length,
)
from mesh.sampling import MARK
from mesh.trust.identity import Identity
from tests.actors.company import Client, Ear, start

PORT = 4433
AUTHORITY, OTHER_AUTHORITY, AGENT = (Identity(letter * 32) for letter in (b"a", b"b", b"c"))


def opening_of(authority: Identity, ticket: bytes = b"") -> bytes:
    """What a peer sends first whose certificate this authority signed."""
    ephemeral = bytes(range(32))
    payload = opening_payload(OWN_VERSIONS, ephemeral, ticket, mac_key(authority.public_key))
    return OWN_VERSIONS.preamble + with_length(ephemeral + payload)


OPENING = opening_of(AUTHORITY)


class Link(Ear):
    """An unauthenticated link: it ends when it is told to close."""

    def __init__(self, dispatcher: Any, socket: Any, acceptor: Any, received: bytes, paid_by: Any) -> None:
        super().__init__(dispatcher)
        self.socket, self.acceptor, self.received, self.paid_by = socket, acceptor, received, paid_by

    def on_start(self) -> None:
        self.own(self.socket)

    def on_receive(self, message: Any) -> None:
        super().on_receive(message)
        self.stop_now()

    def release(self) -> None:
        self.tell(self.acceptor, messages.HandshakeEnded(self.actor_urn))


class House:
    def __init__(self, max_unauthenticated: int = 64) -> None:
        self.world = VirtualWorld(1)
        self.links: list[Link] = []
        self.meters = Meters()
        self.root = start(self.world)
        self.opening_keys = [mac_key(each.public_key) for each in (OTHER_AUTHORITY, AUTHORITY)]
        self.acceptor = self.open(max_unauthenticated)

    def open(self, max_unauthenticated: int = 64) -> Acceptor:
        return start(
            self.world,
            Acceptor,
            name="the acceptor",
            address=TcpAddress("", PORT),
            start_link=self._start_link,
            opening_keys=lambda: self.opening_keys,
            max_unauthenticated=max_unauthenticated,
            meters=self.meters,
            root=self.root.ref,
        )

    def _start_link(self, *given: Any) -> Any:
        ref = Link.start(self.world.dispatcher("here"), *given)
        self.links.append(self.world.dispatcher("here").actors[-1])
        return ref

    def connect(self, host: str = "there", opening: bytes = b"") -> Client:
        client = start(self.world, Client, TcpAddress("here", PORT), host=host)
        self.world.run(0.1)
        if opening:
            client.socket.send([opening])
            self.world.run(0.1)
        return client

    def alive(self) -> list[Link]:
        return [link for link in self.links if link.ref.is_alive()]


@pytest.fixture
def house_of():
    houses: list[House] = []

    def make(*args: Any) -> House:
        houses.append(House(*args))
        return houses[-1]

    yield make
    for house in houses:
        house.world.stop()


def test_starts_a_link_for_whoever_knows_an_authority_with_what_has_been_read(house_of):
    house = house_of()
    clients = [house.connect(opening=opening_of(authority)) for authority in (AUTHORITY, OTHER_AUTHORITY)]
    assert [link.acceptor for link in house.links] == [house.acceptor.ref] * 2
    assert [link.received for link in house.links] == [opening_of(AUTHORITY), opening_of(OTHER_AUTHORITY)]
    assert [client.end for client in clients] == [""] * 2
    assert house.meters.links_refused == 0


def test_an_opening_in_pieces_is_as_good(house_of):
    house = house_of()
    client = house.connect()
    for byte in OPENING:
        assert house.links == []
        client.socket.send([bytes((byte,))])
        house.world.run(0.1)
    assert [link.received for link in house.links] == [OPENING]


def test_a_stranger_gets_no_answer_and_no_link_and_is_counted_and_told(house_of, caplog):
    house = house_of()
    client = house.connect("stranger", opening_of(Identity(b"x" * 32)))
    assert client.end == "Connection reset by peer"
    assert house.links == []
    assert house.meters.links_refused == 1
    [line] = [record.getMessage() for record in caplog.records]
    assert "shows no authority that this agent trusts" in line
    assert "(accepted 10.0.0." in line


def test_what_is_no_opening_is_named(house_of, caplog):
    house = house_of()
    assert house.connect(opening=b"GET / HTTP/1.1\r\n").end == "Connection reset by peer"
    leaver = house.connect()
    leaver.ref.tell("leave")
    house.world.run(0.1)
    half = house.connect(opening=OPENING[:20])
    half.socket.shutdown_write()
    house.world.run(0.1)
    lines = [record.getMessage() for record in caplog.records]
    for line, says in zip(lines, ("an HTTP client", "without a word", "in the middle"), strict=True):
        assert says in line
    assert house.links == []
    assert house.meters.links_refused == 3


def test_what_a_stranger_makes_up_is_no_place_of_its_own_in_the_log(house_of, caplog):
    house = house_of()
    for number in range(3):
        house.connect("stranger", bytes([number]) * 6)
        house.connect("stranger", OPENING[:6] + bytes([number, 0]))
    places = {getattr(record, MARK) for record in caplog.records}
    assert len(caplog.records) == 6
    assert len(places) == 2


def test_a_stranger_who_says_nothing_is_left_after_a_time(house_of, caplog):
    house = house_of()
    silent, slow = house.connect(), house.connect(opening=OPENING[:20])
    house.world.run(OPENING_TIMEOUT_S - 1.0)
    assert (silent.end, slow.end) == ("", "")
    house.world.run(2.0)
    assert silent.end == slow.end == "Connection reset by peer"
    assert house.meters.links_refused == 2
    assert "no handshake within 10 s" in caplog.text
    later = house.connect()
    house.world.run(OPENING_TIMEOUT_S + 1.0)
    assert later.end == "Connection reset by peer"


def test_what_is_held_of_a_stranger_is_an_opening(house_of):
    house = house_of()
    client = house.connect(opening=OPENING + bytes(60_000))
    [link] = house.links
    assert len(link.received) <= MAX_OPENING_BYTES
    assert client.end == ""


def test_the_root_hears_whether_there_is_a_port(house_of):
    house = house_of()
    house.open()
    reports = house.root.of(PartReported)
    assert [report.name for report in reports] == ["the acceptor"] * 2
    assert [report.trouble for report in reports] == [None, PORT_TAKEN]


def test_when_all_places_are_taken_somebody_makes_room(house_of, caplog):
    house = house_of(4)
    with caplog.at_level(logging.WARNING, logger="mesh.links"):
        clients = [house.connect(host) for host in "abcdef"]
    assert sum(client.end == "" for client in clients) == 4
    assert clients[-1].end == ""
    assert house.meters.links_refused == 2
    [line] = [record.getMessage() for record in caplog.records]
    assert "too many unauthenticated connections; closing one of " in line


def test_links_that_shake_have_places_of_their_own(house_of):
    house = house_of(4)
    silent = [house.connect(host) for host in "abcd"]
    for host in "efghij":
        house.connect(host, OPENING)
    assert len(house.links) == 6
    assert len(house.alive()) == 4
    closed = [link for link in house.links if not link.ref.is_alive()]
    assert all(isinstance(link.heard[0], MakeRoom) for link in closed)
    assert sum(client.end == "" for client in silent) == 3, "the first who came then had one's place"


def test_the_log_names_whom_a_link_that_makes_room_came_from(house_of, caplog):
    house = house_of(2)
    with caplog.at_level(logging.WARNING, logger="mesh.links"):
        for host in ("greedy", "greedy", "newcomer"):
            house.connect(host, OPENING)
    [closed] = [link for link in house.links if not link.ref.is_alive()]
    assert closed in house.links[:2]
    host = house.links[0].socket.peer_name.rpartition(":")[0]
    [line] = [record.getMessage() for record in caplog.records]
    assert f"closing one of {host}, " in line


def test_an_address_that_holds_most_makes_room(house_of):
    house = house_of(8)
    other = house.connect("other")
    greedy = [house.connect("greedy") for _ in range(40)]
    assert other.end == ""
    assert sum(client.end == "" for client in greedy) == 7


def test_many_peers_of_one_address_are_let_in_at_once(house_of):
    """As after the restart of a relay: all agents of a site dial it, behind one address."""
    house = house_of()
    clients = [start(house.world, Client, TcpAddress("here", PORT), host="nat") for _ in range(60)]
    house.world.run(0.1)
    for client in clients:
        client.socket.send([OPENING])
    house.world.run(0.1)
    assert len(house.alive()) == 60


@pytest.mark.parametrize("silent", [True, False])
def test_peers_far_away_get_in_beside_a_flood_of_strangers(house_of, silent):
    """3,000 connections a second from 250 addresses; peers with 200 ms of round trip, two of one address."""
    house = house_of(1024)
    world = house.world
    for peer in ("far-1", "far-2"):
        world.network.shape(peer, "here", latency_s=0.1)
    honest: list[Client] = []
    sent: list[Client] = []
    number = 0
    for step in range(100):  # of 10 ms
        if step in (40, 50, 60):
            honest += [
                start(world, Client, TcpAddress("here", PORT), host=host)
                for host in ("far-1", "far-2", "far-2")
            ]
        for _ in range(30):
            number += 1
            stranger = start(world, Client, TcpAddress("here", PORT), host=f"stranger-{number % 250}")
        world.run(0.01)
        if not silent and stranger.socket is not None and not stranger.end:
            stranger.socket.send([bytes(64)])
        for client in honest:
            if client.socket is not None and client not in sent:
                sent.append(client)
                client.socket.send([OPENING])
    world.run(0.3)
    assert len(house.alive()) == len(honest) == 9


def test_a_link_that_is_established_leaves_its_place(house_of):
    house = house_of(4)
    for host in ("a", "b", "c", "d", "e", "f", "g", "h"):
        house.connect(host, OPENING)
        house.acceptor.ref.tell(messages.HandshakeEnded(house.links[-1].actor_urn))
        house.world.run(0.0)
    assert len(house.alive()) == 8


def test_an_end_that_is_reported_twice_counts_once(house_of):
    house = house_of(4)
    for host in ("a", "b", "c", "d"):
        house.connect(host, OPENING)
    for _ in range(3):
        house.acceptor.ref.tell(messages.HandshakeEnded(house.links[0].actor_urn))
    house.world.run(0.0)
    house.connect("e", OPENING)
    assert len(house.alive()) == 5
    house.connect("f", OPENING)
    assert len(house.alive()) == 5
    assert house.links[0] in house.alive()


def test_a_port_that_is_taken_is_tried_again(house_of, caplog):
    house = house_of()
    with caplog.at_level(logging.ERROR, logger="mesh.links"):
        house.open()
        house.world.run(60.0)
    assert len(caplog.records) == 1
    house.acceptor.ref.stop(block=False)
    house.world.run(31.0)
    assert house.connect(opening=OPENING).end == ""
    assert len(house.links) == 1


def test_stops_accepting_and_leaves_links_alone(house_of):
    house = house_of()
    first, stranger = house.connect(opening=OPENING), house.connect()
    house.acceptor.ref.tell(StopListening())
    house.world.run(0.1)
    assert stranger.end == "Connection reset by peer"
    assert house.connect().end == "Connection refused"
    assert (first.end, len(house.alive())) == ("", 1)


@pytest.fixture
def few(request, monkeypatch):
    """Few handshakes may come to nothing, of one address so many a second."""
    rate = getattr(request, "param", 0.01)
    rationed = functools.partial(FutileHandshakes, rate=rate, burst=5.0, spare_rate=0.01, spare_burst=3.0)
    monkeypatch.setattr("actors.links.acceptor.FutileHandshakes", rationed)


def shake(house, host: str = "there", ticket: bytes = b"") -> bool:
    """Dial and leave; whether a link was begun."""
    before = len(house.links)
    house.connect(host, opening=opening_of(AUTHORITY, ticket))
    for link in house.alive():
        link.ref.stop(block=False)
    house.world.run(0.0)
    return len(house.links) > before


def admit(house, agent: Identity, ticket: bytes) -> None:
    """The newest link has become one of ``agent``."""
    house.acceptor.ref.tell(messages.LinkAdmitted(house.links[-1].paid_by, agent.id, ticket))
    house.world.run(0.0)


@pytest.mark.interpreted
@pytest.mark.parametrize("few", [0.5], indirect=True)
def test_handshakes_that_come_to_nothing_are_few_from_one_address(house_of, few):
    house = house_of()
    assert sum(shake(house) for _ in range(20)) in (8, 9, 10, 11)
    assert house.meters.links_refused == 20 - len(house.links)
    assert shake(house, "elsewhere")
    house.world.run(2.0 / 0.5)
    assert shake(house)


def test_handshakes_that_become_links_are_not_rationed(house_of, few):
    house = house_of()
    for number in range(20):
        client = house.connect(opening=OPENING)
        assert len(house.links) == number + 1
        admit(house, Identity(bytes([number]) * 32), bytes([number]) * TICKET_BYTES)
        client.ref.stop(block=False)


@pytest.mark.interpreted
def test_who_shows_a_ticket_is_let_in_whatever_its_neighbours_do(house_of, few):
    house = house_of()
    ticket = b"t" * TICKET_BYTES
    house.connect(opening=OPENING)
    admit(house, AGENT, ticket)
    while shake(house):
        pass
    assert not shake(house, ticket=b"x" * TICKET_BYTES)
    assert sum(shake(house, ticket=ticket) for _ in range(3)) == 3
    house.connect(opening=opening_of(AUTHORITY, ticket))
    admit(house, AGENT, b"u" * TICKET_BYTES)
    assert not shake(house, ticket=ticket), "one that was seen on the wire is soon of no use"
    assert shake(house, ticket=b"u" * TICKET_BYTES)


def test_a_link_whose_agent_is_known_makes_no_room_for_its_neighbours(house_of):
    house = house_of(4)
    house.connect(opening=OPENING)
    admit(house, AGENT, b"t" * TICKET_BYTES)
    house.links[-1].ref.stop(block=False)
    house.connect(opening=opening_of(AUTHORITY, b"t" * TICKET_BYTES))
    known = house.links[-1]
    for _ in range(30):
        house.connect(opening=OPENING)
    assert known in house.alive()
    assert len(house.alive()) == 4
