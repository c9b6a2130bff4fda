"""Where peers arrive: links are actors that only hold their socket."""

import logging
from typing import Any

import pytest

from actors.links.acceptor import Acceptor
from actors.messages import acceptor as messages
from actors.messages.agent import PortReported
from actors.messages.listener import StopListening
from actors.messages.peer_link import CloseLink
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from tests.actors.company import Client, Ear, start

PORT = 4433


class Link(Ear):
    """An unauthenticated link: it ends when it is told to close."""

    def __init__(self, dispatcher: Any, socket: Any, acceptor: Any) -> None:
        super().__init__(dispatcher)
        self.socket, self.acceptor = socket, acceptor

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
        self.acceptor = self.open(max_unauthenticated)

    def open(self, max_unauthenticated: int = 64) -> Acceptor:
        return start(
            self.world,
            Acceptor,
            name="the acceptor",
            address=TcpAddress("", PORT),
            start_link=self._start_link,
            max_unauthenticated=max_unauthenticated,
            meters=self.meters,
            root=self.root.ref,
        )

    def _start_link(self, socket: Any, acceptor: Any) -> Any:
        ref = Link.start(self.world.dispatcher("here"), socket, acceptor)
        self.links.append(self.world.dispatcher("here").actors[-1])
        return ref

    def connect(self, host: str = "there") -> Client:
        client = start(self.world, Client, TcpAddress("here", PORT), host=host)
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


def test_starts_a_link_for_whoever_connects(house_of):
    house = house_of()
    clients = [house.connect() for _ in range(3)]
    assert [link.acceptor for link in house.links] == [house.acceptor.ref] * 3
    assert [client.end for client in clients] == [""] * 3


def test_the_root_hears_whether_there_is_a_port(house_of):
    house = house_of()
    house.open()
    reports = house.root.of(PortReported)
    assert [report.name for report in reports] == ["the acceptor"] * 2
    assert [report.trouble for report in reports] == [None, "port taken"]


def test_the_oldest_makes_room_when_all_places_are_taken(house_of, caplog):
    house = house_of(4)
    hosts = ["a", "b", "c", "d", "e", "f"]
    with caplog.at_level(logging.WARNING, logger="mesh.links"):
        for host in hosts:
            house.connect(host)
    assert len(house.links) == 6
    assert house.alive() == house.links[2:]
    assert all(isinstance(link.heard[0], CloseLink) for link in house.links[:2])
    assert len(caplog.records) == 1


def test_one_address_gets_no_more_than_its_share(house_of):
    house = house_of(8)
    other = house.connect("other")
    for _ in range(5):
        house.connect("greedy")
    assert len(house.alive()) == 3
    assert house.links[0].ref.is_alive()
    assert other.end == ""
    assert house.alive()[1:] == house.links[-2:]


def test_a_link_that_is_established_leaves_its_place(house_of):
    house = house_of(4)
    for host in ("a", "b", "c", "d", "e", "f", "g", "h"):
        house.connect(host)
        house.acceptor.ref.tell(messages.HandshakeEnded(house.links[-1].actor_urn))
        house.world.run(0.0)
    assert len(house.alive()) == 8


def test_an_end_that_is_reported_twice_counts_once(house_of):
    house = house_of(4)
    for host in ("a", "b", "c", "d"):
        house.connect(host)
    for _ in range(3):
        house.acceptor.ref.tell(messages.HandshakeEnded(house.links[0].actor_urn))
    house.world.run(0.0)
    house.connect("e")
    assert len(house.alive()) == 5
    house.connect("f")
    assert house.alive() == [house.links[0], *house.links[2:]]


def test_a_port_that_is_taken_is_tried_again(house_of, caplog):
    house = house_of()
    with caplog.at_level(logging.ERROR, logger="mesh.links"):
        house.open()
        house.world.run(60.0)
    assert len(caplog.records) == 1
    house.acceptor.ref.stop(block=False)
    house.world.run(31.0)
    assert house.connect().end == ""
    assert len(house.links) == 1


def test_stops_accepting_and_leaves_links_alone(house_of):
    house = house_of()
    first = house.connect()
    house.acceptor.ref.tell(StopListening())
    house.world.run(0.0)
    assert house.connect().end == "Connection refused"
    assert first.end == ""
    assert len(house.alive()) == 1
