"""A listener's port: parked, open, full; ingress connections are actors that only hold their client."""

import errno
import logging
from typing import Any

import msgspec
import pytest

from actors.accepting import PORT_TAKEN
from actors.connections.listener import FIRST_REPORT_S, Listener
from actors.messages import listener as messages
from actors.messages.route_table import AdvertiseListener, Subscribe
from actors.runtime.seam import SocketOptions
from mesh.addresses import TcpAddress
from mesh.config.schema import ListenerSection
from mesh.routing.counterparts import NO_OFFER
from mesh.routing.granted_offers import GrantedListener
from mesh.routing.records import ListenerEntry
from mesh.trust.identity import display_id, short_id
from tests.actors.company import Client, record_of, start
from tests.actors.connections.listener_company import ADDRESS, FAR, NEAR, House


@pytest.fixture
def world_of():
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(**settings))
        return houses[-1]

    yield make
    for house in houses:
        house.world.stop()


def test_takes_its_port_and_asks_for_routes(world_of):
    house = world_of()
    listener = house.open()
    entry = ListenerEntry("postgres-main", "127.0.0.1:5432")
    assert house.routes.heard == [AdvertiseListener(listener.actor_urn, entry), Subscribe(listener.ref)]


def test_what_is_for_those_only_who_may_use_it_is_told_as_that(world_of):
    house = world_of(is_granted=True)
    listener = house.open()
    section = ListenerSection(key="postgres-main", address=TcpAddress("127.0.0.1", 5432))
    for visibility, agents in (("mesh", ()), ("mesh", ()), ("granted", ("hq",))):
        changed = msgspec.structs.replace(section, visibility=visibility, agents=agents)
        listener.ref.tell(messages.ChangeListener(changed))
        house.world.run(0.0)
    entry = ListenerEntry("postgres-main", "127.0.0.1:5432")
    told = [each.entry for each in house.routes.of(AdvertiseListener)]
    assert told == [
        GrantedListener(entry, frozenset()),
        entry,
        GrantedListener(entry, frozenset({"hq"})),
    ]


def test_port_0_is_shown_as_the_port_that_was_chosen(world_of):
    house = world_of(address=TcpAddress("127.0.0.1", 0))
    house.open()
    port = int(house.routes.heard[0].entry.address.rpartition(":")[2])
    assert port
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.connect(port).end == ""
    assert len(house.ingresses) == 1


def test_refuses_while_nobody_offers_the_key(world_of):
    house = world_of()
    house.open()
    assert house.connect().end == "Connection refused"
    house.offer(record_of(NEAR, "another-key"))
    assert house.connect().end == "Connection refused"
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.connect().end == ""
    house.offer()
    assert house.connect().end == "Connection refused"
    assert len(house.ingresses) == 1


def test_says_by_name_who_offers_the_key(world_of, caplog):
    caplog.set_level(logging.INFO, logger="mesh.forward")
    house = world_of()
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    assert f"offered by agent {short_id(NEAR.id)}" in caplog.text


def test_says_once_that_nobody_has_offered_the_key_since_the_start(world_of, caplog):
    caplog.set_level(logging.INFO, logger="mesh.forward")
    house = world_of()
    house.open()
    house.world.run(FIRST_REPORT_S - 1)
    assert "refuses" not in caplog.text
    house.world.run(10 * FIRST_REPORT_S)
    assert caplog.text.count(f"listener postgres-main refuses: {NO_OFFER}") == 1


def test_says_nothing_of_the_kind_where_somebody_has(world_of, caplog):
    caplog.set_level(logging.INFO, logger="mesh.forward")
    house = world_of()
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    house.offer()
    house.world.run(10 * FIRST_REPORT_S)
    assert caplog.text.count("refuses") == 1


@pytest.mark.parametrize(
    ("believed", "why"),
    [
        (frozenset(), "no agent offers this key"),
        (frozenset({display_id(NEAR.id)}), "offered by agent, which is not in agents:"),
    ],
)
def test_says_why_it_refuses_as_exactly_as_the_page(world_of, caplog, believed, why):
    caplog.set_level(logging.INFO, logger="mesh.forward")
    house = world_of(believed=believed)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    house.offer(*([record_of(FAR, "postgres-main")] if believed else []))
    assert caplog.records[-1].getMessage() == f"listener postgres-main refuses: {why}"


def test_hands_over_the_candidates_best_first(world_of):
    house = world_of()
    house.open()
    records = record_of(NEAR, "postgres-main", instance=b"n"), record_of(FAR, "postgres-main", instance=b"f")
    house.offer(*records)
    house.connect()
    (ingress,) = house.ingresses
    assert ingress.prepare_for is None
    assert [msgspec.structs.astuple(party) for party in ingress.candidates] == [
        (record.agent_id, record.instance, record.session_key) for record in records
    ]


def test_refuses_where_the_own_certificate_does_not_permit_the_use(world_of, caplog):
    house = world_of(may_use=False)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.connect().end == "Connection refused"
    assert "does not permit" in caplog.text


def test_max_connections_is_exact(world_of):
    house = world_of(max_connections=2)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    clients = [house.connect() for _ in range(4)]
    assert [client.end for client in clients] == [
        "",
        "",
        "Connection reset by peer",
        "Connection reset by peer",
    ]
    assert (house.meters.clients_accepted, house.meters.clients_refused) == (2, 2)
    house.ingresses[0].ref.stop(block=False)
    house.world.run(0.0)
    assert [house.connect().end for _ in range(2)] == ["", "Connection reset by peer"]
    assert (house.meters.clients_accepted, house.meters.clients_refused) == (3, 3)


def test_clients_that_come_at_once_are_counted_one_by_one(world_of):
    house = world_of(max_connections=3)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    clients = [start(house.world, Client, ADDRESS) for _ in range(8)]
    house.world.run(0.1)
    assert sorted(client.end for client in clients) == [""] * 3 + ["Connection reset by peer"] * 5


def test_a_listener_that_is_started_again_goes_on_counting(world_of):
    house = world_of(max_connections=3)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    clients = [house.connect() for _ in range(2)]
    house.listener.ref.stop(block=False)
    house.world.run(0.0)
    house.ingresses[0].ref.stop(block=False)  # it leaves while there is no listener
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    clients += [house.connect() for _ in range(3)]
    assert [client.end for client in clients[1:]] == ["", "", "", "Connection reset by peer"]


def test_a_port_that_is_taken_is_tried_again(world_of, caplog):
    house = world_of()
    other = House.open(house)
    with caplog.at_level(logging.ERROR, logger="mesh.forward"):
        second = start(house.world, Listener, **house.settings)
        house.world.run(60.0)
    assert len(caplog.records) == 1
    assert "cannot use 127.0.0.1:5432: Address already in use" in caplog.text
    other.ref.stop(block=False)
    house.world.run(31.0)
    assert house.routes.of(AdvertiseListener)[-1].owner == second.actor_urn
    house.listener = second
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.connect().end == ""


def test_the_root_hears_whether_there_is_a_port(world_of):
    house = world_of()
    house.open()
    assert house.port_troubles() == [None]
    second = start(house.world, Listener, **house.settings)
    assert house.port_troubles() == [None, PORT_TAKEN]
    second.ref.stop(block=False)
    house.listener.ref.tell(messages.StopListening())
    house.world.run(0.0)
    assert house.port_troubles()[2:] == ["closed", "closed"]


def test_a_port_that_cannot_be_used_is_told_with_the_reason(world_of, monkeypatch, caplog):
    house = world_of()

    def refuse(address: TcpAddress, options: SocketOptions) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(house.world.dispatcher("here"), "bind", refuse)
    house.open()
    (trouble,) = house.port_troubles()
    assert trouble.startswith("no port: Permission denied: ports below 1024 need root")
    assert trouble in caplog.text.replace("Permission denied", "no port: Permission denied")


def test_a_port_that_is_lost_is_withdrawn_from_the_mesh(world_of, monkeypatch):
    house = world_of()
    listener = house.open()

    def fail() -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(listener._listening, "listen", fail)
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.routes.of(AdvertiseListener)[-1].entry is None
    assert house.port_troubles() == [None, PORT_TAKEN]
    house.world.run(31.0)
    assert house.routes.of(AdvertiseListener)[-1].entry is not None
    assert house.port_troubles() == [None, PORT_TAKEN, None]


def test_stops_listening_and_leaves_the_connections_alone(world_of):
    house = world_of()
    listener = house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    first = house.connect()
    listener.ref.tell(messages.StopListening())
    house.world.run(0.0)
    assert house.connect().end == "Connection refused"
    house.offer()
    house.offer(record_of(NEAR, "postgres-main"))
    assert house.connect().end == "Connection refused"
    assert first.end == ""
    assert house.ingresses[0].ref.is_alive()


def test_without_descriptors_clients_are_reset_and_counted(world_of, caplog):
    house = world_of()
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    host = house.world.network.host("here")
    clients = [start(house.world, Client, ADDRESS) for _ in range(2)]
    host.descriptor_limit = host.open_sockets
    house.world.run(0.1)
    assert house.ingresses == []
    assert [client.end for client in clients] == ["Connection reset by peer"] * 2
    assert (house.meters.clients_turned_away, house.meters.accepts_paused) == (2, 0)
    assert sum("resets clients at 127.0.0.1:5432" in record.message for record in caplog.records) == 1
    host.descriptor_limit = None
    assert house.connect().end == ""
    assert len(house.ingresses) == 1


def test_the_last_descriptors_are_not_for_clients(world_of):
    house = world_of()
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    host = house.world.network.host("here")
    host.descriptor_limit = 40
    clients = [start(house.world, Client, ADDRESS) for _ in range(10)]  # on the same host
    house.world.run(0.1)
    clients += [start(house.world, Client, ADDRESS) for _ in range(15)]
    house.world.run(0.1)
    assert "Connection reset by peer" in {client.end for client in clients}
    assert host.open_sockets <= 30 + 10 - 1, "only the test's own clients take of the last quarter"
    assert house.meters.clients_turned_away > 0


def test_without_memory_accepting_pauses_and_goes_on(world_of, caplog, monkeypatch):
    house = world_of()
    listener = house.open()
    house.offer(record_of(NEAR, "postgres-main"))

    def fail() -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(listener._listening, "accept", fail)
        client = house.connect()
        house.world.run(10.0)
        assert 10 <= house.meters.accepts_paused <= 30
        assert sum("pauses accepting" in record.message for record in caplog.records) == 1
    house.world.run(1.0)
    assert len(house.ingresses) == 1
    assert client.end == ""


# -- one too many, while others are closing ------------------------------------------------------------------


def full(world_of, count=1):
    """A listener with as many clients as it may have."""
    house = world_of(max_connections=count)
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    return house, [house.connect() for _ in range(count)]


def finish(house, client):
    client.socket.shutdown_write()
    house.world.run(0.01)


def test_one_too_many_waits_for_one_that_has_closed_its_end(world_of):
    house, (first,) = full(world_of)
    finish(house, first)
    second = house.connect()
    house.world.run(1.5)
    assert (second.end, len(house.ingresses)) == ("", 1)
    house.ingresses[0].ref.stop(block=False)
    house.world.run(0.01)
    assert (second.end, len(house.ingresses)) == ("", 2)
    assert (house.meters.clients_accepted, house.meters.clients_refused) == (2, 0)
    house.world.run(10.0)
    assert second.end == ""


def test_who_is_beyond_those_that_are_closing_is_reset_at_once(world_of):
    house, clients = full(world_of, 3)
    finish(house, clients[1])
    late = [house.connect() for _ in range(3)]
    assert [client.end for client in late] == ["", "Connection reset by peer", "Connection reset by peer"]
    assert house.meters.clients_refused == 2


def test_nobody_waits_for_a_place_for_ever(world_of):
    house, (first,) = full(world_of)
    finish(house, first)
    second = house.connect()
    house.world.run(1.9)
    assert second.end == ""
    third = house.connect()
    assert third.end == "Connection reset by peer"
    house.world.run(0.2)
    assert second.end == "Connection reset by peer"
    late = house.connect()  # the patience begins anew
    house.world.run(1.9)
    assert late.end == ""
    house.world.run(0.2)
    assert late.end == "Connection reset by peer"


def test_those_that_wait_are_reset_when_the_listener_ends_or_has_nobody_to_ask(world_of):
    house, (first,) = full(world_of)
    finish(house, first)
    second = house.connect()
    house.offer()
    house.ingresses[0].ref.stop(block=False)
    house.world.run(0.01)
    assert second.end == "Connection reset by peer"
    house.offer(record_of(NEAR, "postgres-main"))
    first = house.connect()
    finish(house, first)
    third = house.connect()
    house.listener.ref.tell(messages.StopListening())
    house.world.run(0.01)
    assert third.end == "Connection reset by peer"


def test_one_that_waits_is_reset_when_the_listener_dies_and_the_next_listener_takes_over(world_of):
    house, (first,) = full(world_of)
    finish(house, first)
    second = house.connect()
    house.listener.ref.stop(block=False)
    house.world.run(0.01)
    assert second.end == "Connection reset by peer"
    house.open()
    house.offer(record_of(NEAR, "postgres-main"))
    third = house.connect()
    house.ingresses[0].ref.stop(block=False)
    house.world.run(0.01)
    assert (third.end, len(house.ingresses)) == ("", 2)
