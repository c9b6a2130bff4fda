from typing import Any

import pytest

from actors.endpoint import Endpoint
from actors.messages import endpoint as messages
from actors.messages.connection import TargetDenied, TargetGranted
from actors.messages.route_table import AdvertiseEndpoint
from actors.meters import Meters
from actors.runtime.virtual_world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.records import EndpointEntry
from tests.actors.company import start

TARGET = TcpAddress("localhost", 3000)


@pytest.fixture
def world():
    with VirtualWorld(1) as world:
        yield world


def set_up(world: VirtualWorld, **settings: Any):
    routes = start(world)
    kept: dict[str, Any] = {"admitted": {}, "meters": Meters(), "route_table": routes.ref}
    return routes, start(world, Endpoint, key="my-api", target=TARGET, **(kept | settings))


def test_offers_its_key_from_its_start_to_its_end(world):
    routes, endpoint = set_up(world)
    offered = AdvertiseEndpoint(endpoint.actor_urn, EndpointEntry("my-api", "localhost:3000"))
    assert routes.heard == [offered]
    endpoint.ref.stop(block=False)
    world.run(0.0)
    assert routes.heard == [offered, AdvertiseEndpoint(endpoint.actor_urn, None)]


def test_lets_connections_in_to_its_target(world):
    _, endpoint = set_up(world)
    connections = [start(world), start(world)]
    for connection in connections:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    assert [connection.heard for connection in connections] == [[TargetGranted(TARGET)]] * 2
    assert "2 connections" in str(endpoint)
    endpoint.ref.tell(messages.ConnectionLeft(connection.ref.actor_urn))
    world.run(0.0)
    assert "1 connections" in str(endpoint)


def test_lets_nobody_in_once_it_is_withdrawn(world):
    routes, endpoint = set_up(world)
    connection = start(world)
    endpoint.ref.tell(messages.StopOffering())
    endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    assert routes.heard[-1] == AdvertiseEndpoint(endpoint.actor_urn, None)
    assert [type(message) for message in connection.heard] == [TargetDenied]
    assert connection.heard[0].code == "unavailable"


def test_a_connection_that_died_while_asking_does_no_harm(world):
    _, endpoint = set_up(world)
    dead, alive = start(world), start(world)
    dead.ref.stop(block=False)
    world.run(0.0)
    for connection in (dead, alive):
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    assert alive.heard == [TargetGranted(TARGET)]


def test_max_connections_is_exact(world, caplog):
    routes, endpoint = set_up(world, max_connections=2)
    connections = [start(world) for _ in range(4)]
    for connection in connections:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    answers = [connection.heard[0] for connection in connections]
    assert answers[:2] == [TargetGranted(TARGET)] * 2
    assert [(answer.code, type(answer)) for answer in answers[2:]] == [("at-capacity", TargetDenied)] * 2
    assert endpoint._meters.opens_denied == 2
    assert sum("is at max_connections (2)" in record.message for record in caplog.records) == 1
    endpoint.ref.tell(messages.ConnectionLeft(connections[2].ref.actor_urn))  # it never had a place
    endpoint.ref.tell(messages.ConnectionLeft(connections[0].ref.actor_urn))
    late = [start(world) for _ in range(2)]
    for connection in late:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    assert [type(connection.heard[0]) for connection in late] == [TargetGranted, TargetDenied]
    assert len(routes.heard) == 1  # a full endpoint keeps its key


def test_a_connection_that_has_left_before_it_was_let_in_takes_no_place(world):
    _, endpoint = set_up(world, max_connections=1)
    impatient, late = start(world), start(world)
    endpoint.ref.tell(messages.AdmitConnection(impatient.ref))
    endpoint.ref.tell(messages.ConnectionLeft(impatient.actor_urn))
    endpoint.ref.tell(messages.AdmitConnection(late.ref))
    world.run(0.0)
    assert late.heard == [TargetGranted(TARGET)]


def test_one_that_is_started_again_counts_the_connections_that_stayed(world):
    admitted: dict[str, Any] = {}
    _, endpoint = set_up(world, admitted=admitted, max_connections=2)
    stays, leaves = start(world), start(world)
    for connection in (stays, leaves):
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    endpoint.ref.stop(block=False)
    world.run(0.0)
    _, endpoint = set_up(world, admitted=admitted, max_connections=2)
    late = [start(world) for _ in range(3)]
    endpoint.ref.tell(messages.AdmitConnection(late[0].ref))
    world.run(0.0)
    leaves.ref.stop(block=False)  # it knows nobody but the endpoint that is gone
    world.run(0.0)
    for connection in late[1:]:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    answers = [type(connection.heard[0]) for connection in late]
    assert answers == [TargetDenied, TargetGranted, TargetDenied]


def test_connections_that_ended_while_there_was_no_endpoint_take_no_place(world):
    admitted: dict[str, Any] = {}
    _, endpoint = set_up(world, admitted=admitted, max_connections=1)
    connection, late = start(world), start(world)
    endpoint.ref.tell(messages.AdmitConnection(connection.ref))
    world.run(0.0)
    for actor in (endpoint, connection):
        actor.ref.stop(block=False)
    world.run(0.0)
    _, endpoint = set_up(world, admitted=admitted, max_connections=1)
    endpoint.ref.tell(messages.AdmitConnection(late.ref))
    world.run(0.0)
    assert late.heard == [TargetGranted(TARGET)]
