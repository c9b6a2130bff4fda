"""An endpoint with a health check: checks at the pace that is set, and a key that follows the target."""

import errno
from typing import Any

import pytest

from actors.connections.endpoint import NOT_CHECKED, WITHDRAWN, Endpoint
from actors.messages import endpoint as messages
from actors.messages.agent import PartReported
from actors.messages.connection import TargetDenied, TargetGranted
from actors.messages.route_table import AdvertiseEndpoint
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import SocketAddress, TcpAddress, UnixAddress
from mesh.config.schema import HealthCheckSection
from mesh.connection.door import Door
from tests.actors.company import IDENTITIES, start

SETTINGS = HealthCheckSection(interval_s=5.0, timeout_s=2.0, unhealthy_after=3, healthy_after=2)
TARGET = TcpAddress("there", 3000)


class Target(Actor[Any]):
    """Accepts, and notes what becomes of it."""

    def __init__(self, dispatcher: Any, address: SocketAddress) -> None:
        super().__init__(dispatcher)
        self.address = address
        self.accepted_at: list[float] = []
        self.open = 0

    def on_start(self) -> None:
        self.listening = self.own(self.dispatcher.bind(self.address))
        self.listening.listen()
        self.listening.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        if socket is self.listening:
            self.own(socket.accept()).watch_read(True)
            self.accepted_at.append(self.now())
            self.open += 1
        elif not socket.recv_into(self.dispatcher.read_buffer):
            socket.close()
            self.disown(socket)
            self.open -= 1


class House:
    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.meters = Meters()
        self.routes = start(self.world)
        self.root = start(self.world)
        self.door = Door(TARGET)

    def serve(self, address: SocketAddress = TARGET, host: str = "there") -> Target:
        return start(self.world, Target, address, host=host)

    def offer(self, target: SocketAddress = TARGET) -> None:
        self.endpoint = start(
            self.world,
            Endpoint,
            name="endpoint my-api",
            key="my-api",
            target=target,
            shows_target=True,
            is_granted=False,
            allowed=frozenset(),
            route_table=self.routes.ref,
            meters=self.meters,
            admitted={},
            door=self.door,
            max_connections=0,
            health_check=SETTINGS,
            root=self.root.ref,
        )

    def said(self) -> list[bool]:
        """Whether the key was offered, each time the route table was told."""
        return [told.entry is not None for told in self.routes.of(AdvertiseEndpoint)]

    def withheld(self) -> list[str | None]:
        """Why the key was not offered, each time the root was told."""
        reports = self.root.of(PartReported)
        assert {report.name for report in reports} == {"endpoint my-api"}
        return [report.trouble for report in reports]

    def admit(self) -> Any:
        connection = start(self.world)
        self.endpoint.ref.tell(messages.AdmitConnection(connection.ref, IDENTITIES[0].id))
        self.world.run(0.0)
        return connection.heard[0]


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def test_a_target_that_is_up_is_offered_after_the_first_check(house):
    target = house.serve()
    house.offer()
    assert house.said() == []
    assert isinstance(house.admit(), TargetDenied)
    assert not house.door.is_open
    house.world.run(0.1)
    assert house.said() == [True]
    assert house.door.is_open
    assert house.admit() == TargetGranted(TARGET, is_counted=False)
    house.world.run(19.8)
    assert [round(at) for at in target.accepted_at] == [0, 5, 10, 15]
    assert target.open == 0
    assert house.said() == [True]
    assert house.meters.health_checks_failed == 0


def test_a_target_that_is_down_is_not_offered_until_it_is_up(house, caplog):
    house.world.network.host("there")
    house.offer()
    house.world.run(61.0)
    assert house.said() == [False]
    assert house.admit().code == "unavailable"
    assert house.meters.health_checks_failed == 13
    assert sum("is not offered" in record.message for record in caplog.records) == 1
    assert "Connection refused" in caplog.text
    house.serve()
    house.world.run(5.0)  # one pass is too few
    assert house.said() == [False]
    assert not house.door.is_open
    house.world.run(5.0)
    assert house.said() == [False, True]
    assert house.door.is_open


def test_the_key_goes_and_comes_with_the_target_and_each_change_is_told_once(house, caplog):
    caplog.set_level("INFO", logger="mesh.forward")
    house.serve()
    house.offer()
    house.world.run(1.0)
    house.world.crash("there")
    house.world.run(10.0)  # two failures are too few
    assert house.said() == [True]
    house.world.run(5.0)
    assert house.said() == [True, False]
    house.world.run(60.0)
    house.serve()
    house.world.run(11.0)
    assert house.said() == [True, False, True]
    assert house.meters.endpoints_withdrawn == 1
    lines = [record.message for record in caplog.records if "offered" in record.message]
    assert lines == [
        "endpoint my-api is offered: there:3000 accepts connections",
        "endpoint my-api is not offered: there:3000 is down: Connection refused",
        "endpoint my-api is offered: there:3000 accepts connections",
    ]


def test_a_silent_target_fails_in_time_and_nothing_is_left_of_the_check(house, caplog):
    house.serve()
    house.world.network.cut("here", "there")
    house.offer()
    house.world.run(1.9)
    assert house.said() == []
    house.world.run(0.2)
    assert house.said() == [False]
    assert "no answer within 2 s" in caplog.text
    assert not house.world.network.attempts
    assert house.world.open_sockets("here") == 0
    house.world.run(5.0)
    assert house.meters.health_checks_failed == 2  # from start to start: 0 s and 5 s


def test_a_name_that_is_unknown_is_a_failure(house, caplog):
    house.offer(TcpAddress("nowhere", 1))
    house.world.run(1.0)
    assert house.said() == [False]
    assert "nowhere:1 is down: " in caplog.text


def test_one_address_that_accepts_is_enough(house):
    network = house.world.network
    for host in ("dead", "there", "silent"):
        network.add_name("service", host)
    network.cut("here", "silent")
    target = house.serve()
    house.offer(TcpAddress("service", 3000))
    house.world.run(1.0)
    assert house.said() == [True]
    assert len(target.accepted_at) == 1
    assert target.open == 0
    assert not network.attempts
    assert house.world.open_sockets("here") == 0


@pytest.mark.parametrize("before", ["silent", "dead"])
def test_a_check_tries_one_address_after_another_as_a_connection_does(house, before):
    network = house.world.network
    for host in ("there", before):
        network.add_name("service", host)
    if before == "silent":
        network.cut("here", "silent")
        network.host("silent")
    target, other = house.serve(), house.serve(host=before) if before == "silent" else None
    house.offer(TcpAddress("service", 3000))
    house.world.run(4.0)
    assert house.said() == [True]
    assert len(target.accepted_at) == 1
    assert other is None or not other.accepted_at


def test_a_target_with_more_addresses_than_the_time_has_room_for_is_up_by_its_last(house):
    network = house.world.network
    silent = [f"silent{number}" for number in range(30)]
    for host in (*silent, "there"):
        network.add_name("service", host)
    for host in silent:
        network.host(host)
        network.cut("here", host)
    house.serve()
    house.offer(TcpAddress("service", 3000))
    house.world.run(SETTINGS.timeout_s)
    assert house.said() == [True]
    assert not network.attempts
    assert house.world.open_sockets("here") == 0


def test_a_unix_socket_is_checked_too(house):
    address = UnixAddress("/run/my-api.sock")
    house.serve(address, host="here")
    house.offer(address)
    house.world.run(1.0)
    assert house.said() == [True]


def test_lack_of_own_descriptors_says_nothing_of_the_target(house):
    house.serve()
    house.offer()
    house.world.run(1.0)
    host = house.world.network.host("here")
    host.descriptor_limit = host.open_sockets
    house.world.run(60.0)
    host.descriptor_limit = None
    house.world.run(10.0)
    assert house.said() == [True]
    assert house.meters.health_checks_failed == 0


def test_an_endpoint_that_is_withdrawn_checks_no_more(house):
    target = house.serve()
    house.offer()
    house.world.run(6.0)
    house.endpoint.ref.tell(messages.StopOffering())
    house.world.run(60.0)
    assert len(target.accepted_at) == 2
    assert house.said() == [True, False]


@pytest.mark.parametrize("end", ["stop", "withdraw"])
def test_a_check_that_is_under_way_at_the_end_leaves_nothing(house, end):
    house.serve()
    house.world.network.cut("here", "there")
    house.offer()
    house.world.run(1.0)
    assert house.world.network.attempts
    if end == "stop":
        house.endpoint.ref.stop(block=False)
    else:
        house.endpoint.ref.tell(messages.StopOffering())
    house.world.run(0.0)
    assert not house.world.network.attempts
    house.world.network.heal("here", "there")
    house.world.run(60.0)
    assert house.said() == [False]
    assert house.world.open_sockets("here") == 0


def test_what_comes_from_a_check_that_is_over_changes_nothing(house):
    from actors.messages.reaching import ReachDue
    from actors.runtime.seam import ConnectFailed, NamesResolved

    house.serve()
    house.offer()
    house.world.run(1.0)
    for stale in (
        NamesResolved(1, (), "gone"),
        ConnectFailed(2, errno.ECONNREFUSED, "refused"),
        ReachDue(),
    ):
        house.endpoint.ref.tell(stale)
    house.world.run(1.0)
    assert house.said() == [True]
    assert house.meters.health_checks_failed == 0


def test_why_its_key_is_not_offered_is_told_until_it_is(house):
    house.world.network.host("there")
    house.offer()
    house.world.run(30.0)
    refused = f"{WITHDRAWN}: there:3000: Connection refused"
    assert house.withheld() == [NOT_CHECKED, refused]
    house.world.network.cut("here", "there")
    house.world.run(10.0)
    assert house.withheld()[2:] == [f"{WITHDRAWN}: there:3000: no answer within 2 s"], "it is silent now"
    house.world.network.heal("here", "there")
    house.serve()
    house.world.run(20.0)
    assert house.withheld()[-1] is None
