from typing import Any

import msgspec
import pytest

from actors.connections.endpoint import Endpoint
from actors.messages import endpoint as messages
from actors.messages.connection import TargetDenied, TargetGranted
from actors.messages.route_table import AdvertiseEndpoint
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.connection.door import Door
from mesh.routing.granted_offers import GrantedEndpoint
from mesh.routing.records import EndpointEntry
from mesh.trust.identity import AgentId
from tests.actors.company import IDENTITIES, start

ALICE, BOB, CAROL = (identity.id for identity in IDENTITIES[:3])
TARGET = TcpAddress("localhost", 3000)
COUNTED = TargetGranted(TARGET, is_counted=True)
UNCOUNTED = TargetGranted(TARGET, is_counted=False)


@pytest.fixture
def world():
    with VirtualWorld(1) as world:
        yield world


def set_up(world: VirtualWorld, **settings: Any):
    routes = start(world)
    kept: dict[str, Any] = {
        "admitted": {},
        "door": Door(TARGET),
        "meters": Meters(),
        "route_table": routes.ref,
        "max_connections": 0,
        "health_check": None,
        "shows_target": True,
        "is_granted": False,
        "allowed": frozenset(),
        "name": "endpoint my-api",
        "root": start(world).ref,
    }
    return routes, start(world, Endpoint, key="my-api", target=TARGET, **(kept | settings))


def test_offers_its_key_from_its_start_to_its_end(world):
    routes, endpoint = set_up(world)
    offered = AdvertiseEndpoint(endpoint.actor_urn, EndpointEntry("my-api", "localhost:3000"))
    assert routes.heard == [offered]
    endpoint.ref.stop(block=False)
    world.run(0.0)
    assert routes.heard == [offered, AdvertiseEndpoint(endpoint.actor_urn, None)]


def test_its_door_is_open_while_it_lets_everybody_in(world):
    door = Door(TARGET)
    _, endpoint = set_up(world, door=door)
    assert door.is_open
    door.enter()
    assert "1 connections" in str(endpoint)
    endpoint.ref.tell(messages.StopOffering())
    world.run(0.0)
    assert not door.is_open


def test_its_door_is_shut_by_its_end_and_open_again_with_the_next(world):
    door = Door(TARGET)
    _, endpoint = set_up(world, door=door)
    endpoint.ref.stop(block=False)
    world.run(0.0)
    assert not door.is_open
    set_up(world, door=door)
    assert door.is_open


def test_with_a_limit_everybody_has_to_ask(world):
    door = Door(TARGET)
    set_up(world, door=door, max_connections=10)
    assert not door.is_open


def test_lets_connections_in_to_its_target(world):
    _, endpoint = set_up(world)
    connections = [start(world), start(world)]
    for connection in connections:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.0)
    assert [connection.heard for connection in connections] == [[UNCOUNTED]] * 2
    assert "2 connections" in str(endpoint)
    endpoint.ref.tell(messages.ConnectionLeft(connection.ref.actor_urn))
    world.run(0.0)
    assert "1 connections" in str(endpoint)


def test_lets_nobody_in_once_it_is_withdrawn(world):
    routes, endpoint = set_up(world)
    connection = start(world)
    endpoint.ref.tell(messages.StopOffering())
    endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
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
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.0)
    assert alive.heard == [UNCOUNTED]


def test_max_connections_is_exact(world, caplog):
    routes, endpoint = set_up(world, max_connections=2)
    connections = [start(world) for _ in range(4)]
    for connection in connections:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.0)
    assert [len(connection.heard) for connection in connections] == [1, 1, 0, 0]  # is any of them closing?
    world.run(0.06)
    answers = [connection.heard[0] for connection in connections]
    assert answers[:2] == [COUNTED] * 2
    assert [(answer.code, type(answer)) for answer in answers[2:]] == [("at-capacity", TargetDenied)] * 2
    assert endpoint._meters.opens_denied == 2
    assert sum("is at max_connections (2)" in record.message for record in caplog.records) == 1
    endpoint.ref.tell(messages.ConnectionLeft(connections[2].ref.actor_urn))  # it never had a place
    endpoint.ref.tell(messages.ConnectionLeft(connections[0].ref.actor_urn))
    late = [start(world) for _ in range(2)]
    for connection in late:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.06)
    assert [type(connection.heard[0]) for connection in late] == [TargetGranted, TargetDenied]
    assert len(routes.heard) == 1  # a full endpoint keeps its key


def test_a_connection_that_has_left_before_it_was_let_in_takes_no_place(world):
    _, endpoint = set_up(world, max_connections=1)
    impatient, late = start(world), start(world)
    endpoint.ref.tell(messages.AdmitConnection(impatient.ref, ALICE))
    endpoint.ref.tell(messages.ConnectionLeft(impatient.actor_urn))
    endpoint.ref.tell(messages.AdmitConnection(late.ref, ALICE))
    world.run(0.0)
    assert late.heard == [COUNTED]


def test_one_that_is_started_again_counts_the_connections_that_stayed(world):
    admitted: dict[str, Any] = {}
    _, endpoint = set_up(world, admitted=admitted, max_connections=2)
    stays, leaves = start(world), start(world)
    for connection in (stays, leaves):
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.0)
    endpoint.ref.stop(block=False)
    world.run(0.0)
    _, endpoint = set_up(world, admitted=admitted, max_connections=2)
    late = [start(world) for _ in range(3)]
    endpoint.ref.tell(messages.AdmitConnection(late[0].ref, ALICE))
    world.run(0.06)
    leaves.ref.stop(block=False)  # it knows nobody but the endpoint that is gone
    world.run(0.0)
    for connection in late[1:]:
        endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.06)
    answers = [type(connection.heard[0]) for connection in late]
    assert answers == [TargetDenied, TargetGranted, TargetDenied]


def test_connections_that_ended_while_there_was_no_endpoint_take_no_place(world):
    admitted: dict[str, Any] = {}
    _, endpoint = set_up(world, admitted=admitted, max_connections=1)
    connection, late = start(world), start(world)
    endpoint.ref.tell(messages.AdmitConnection(connection.ref, ALICE))
    world.run(0.0)
    for actor in (endpoint, connection):
        actor.ref.stop(block=False)
    world.run(0.0)
    _, endpoint = set_up(world, admitted=admitted, max_connections=1)
    endpoint.ref.tell(messages.AdmitConnection(late.ref, ALICE))
    world.run(0.0)
    assert late.heard == [COUNTED]


def full(world: VirtualWorld, count: int = 1) -> tuple[Any, list[Any]]:
    """An endpoint with as many connections as it may have."""
    _, endpoint = set_up(world, max_connections=count)
    return endpoint, [ask(world, endpoint) for _ in range(count)]


def ask(world: VirtualWorld, endpoint: Any, ingress: AgentId = ALICE) -> Any:
    connection = start(world)
    endpoint.ref.tell(messages.AdmitConnection(connection.ref, ingress))
    world.run(0.0)
    return connection


def test_one_too_many_waits_for_one_that_is_closing(world):
    endpoint, (first,) = full(world)
    endpoint.ref.tell(messages.ConnectionClosing(first.actor_urn))
    second = ask(world, endpoint)
    world.run(1.5)
    assert second.heard == []
    endpoint.ref.tell(messages.ConnectionLeft(first.actor_urn))
    world.run(0.0)
    assert second.heard == [COUNTED]
    assert endpoint._meters.opens_denied == 0


def test_the_news_that_one_is_closing_may_come_a_moment_later(world):
    endpoint, (first,) = full(world)
    second = ask(world, endpoint)
    world.run(0.04)
    endpoint.ref.tell(messages.ConnectionClosing(first.actor_urn))
    world.run(1.0)
    assert second.heard == []
    endpoint.ref.tell(messages.ConnectionLeft(first.actor_urn))
    world.run(0.0)
    assert second.heard == [COUNTED]


def test_nobody_waits_for_ever(world):
    endpoint, (first,) = full(world)
    endpoint.ref.tell(messages.ConnectionClosing(first.actor_urn))
    second = ask(world, endpoint)
    world.run(2.1)
    assert [answer.code for answer in second.heard] == ["at-capacity"]
    endpoint.ref.tell(messages.ConnectionLeft(first.actor_urn))
    world.run(0.0)
    assert len(second.heard) == 1


def test_as_many_wait_as_are_closing_and_in_their_order(world):
    endpoint, connections = full(world, 3)
    for each in connections[:2]:
        endpoint.ref.tell(messages.ConnectionClosing(each.actor_urn))
    late = [ask(world, endpoint) for _ in range(4)]
    assert [answer.code for answer in late[3].heard] == ["at-capacity"]  # more than there are places
    world.run(0.06)
    assert [len(each.heard) for each in late] == [0, 0, 1, 1]
    endpoint.ref.tell(messages.ConnectionLeft(connections[1].actor_urn))
    world.run(0.0)
    assert (late[0].heard, late[1].heard) == ([COUNTED], [])


def test_one_that_gives_up_waiting_gets_no_place(world):
    endpoint, (first,) = full(world)
    endpoint.ref.tell(messages.ConnectionClosing(first.actor_urn))
    second = ask(world, endpoint)
    endpoint.ref.tell(messages.ConnectionLeft(second.actor_urn))
    endpoint.ref.tell(messages.ConnectionLeft(first.actor_urn))
    world.run(0.0)
    assert second.heard == []
    assert ask(world, endpoint).heard == [COUNTED]


def test_those_that_wait_hear_at_once_that_the_endpoint_is_withdrawn(world):
    endpoint, (first,) = full(world)
    endpoint.ref.tell(messages.ConnectionClosing(first.actor_urn))
    second = ask(world, endpoint)
    endpoint.ref.tell(messages.StopOffering())
    world.run(0.0)
    assert [answer.code for answer in second.heard] == ["unavailable"]


def test_one_ingress_holds_nearly_all_places_and_never_all(world):
    _, endpoint = set_up(world, max_connections=20)
    alice = [ask(world, endpoint) for _ in range(20)]
    world.run(0.06)
    assert [connection.heard[0] for connection in alice[:17]] == [COUNTED] * 17
    denied = {(answer.code, answer.reason) for connection in alice[17:] for answer in connection.heard}
    assert denied == {("at-capacity", "this agent holds its share of the endpoint's max_connections")}
    assert (endpoint._meters.opens_denied, endpoint._meters.opens_beyond_share) == (3, 3)
    assert ask(world, endpoint, BOB).heard == [COUNTED]
    assert ask(world, endpoint, CAROL).heard == [COUNTED]


def test_those_that_wait_for_their_share_keep_no_other_waiting(world):
    _, endpoint = set_up(world, max_connections=20)
    alice = [ask(world, endpoint) for _ in range(17)]
    bob = [ask(world, endpoint, each) for each in (BOB, CAROL, AgentId(b"d" * 16))]
    for connection in (*alice, *bob[:1]):
        endpoint.ref.tell(messages.ConnectionClosing(connection.actor_urn))
    behind = [ask(world, endpoint), ask(world, endpoint), ask(world, endpoint, BOB)]
    assert [connection.heard for connection in behind] == [[], [], []]
    endpoint.ref.tell(messages.ConnectionLeft(bob[0].actor_urn))
    world.run(0.0)
    assert [connection.heard for connection in behind] == [[], [], [COUNTED]]
    for connection in alice[:8]:
        endpoint.ref.tell(messages.ConnectionLeft(connection.actor_urn))
    world.run(0.0)
    assert [connection.heard for connection in behind] == [[COUNTED]] * 3


def test_one_that_is_started_again_counts_shares_as_before(world):
    admitted: dict[str, Any] = {}
    _, endpoint = set_up(world, admitted=admitted, max_connections=20)
    for _ in range(17):
        ask(world, endpoint)
    endpoint.ref.stop(block=False)
    world.run(0.0)
    _, endpoint = set_up(world, admitted=admitted, max_connections=20)
    assert ask(world, endpoint).heard == []
    assert ask(world, endpoint, BOB).heard == [COUNTED]


def test_its_key_has_figures_while_it_is_there(world):
    meters = Meters()
    _, endpoint = set_up(world, meters=meters)
    assert meters.served.by_key().keys() == {"my-api"}
    endpoint.ref.stop(block=False)
    world.run(0.0)
    assert meters.served.by_key() == {}


def test_the_mesh_is_told_of_the_target_where_that_is_wanted_only(world):
    routes, endpoint = set_up(world, shows_target=False)
    section = EndpointSection(key="my-api", target=TARGET, show_target=True)
    endpoint.ref.tell(messages.ChangeEndpoint(section))
    world.run(0.0)
    endpoint.ref.tell(messages.ChangeEndpoint(msgspec.structs.replace(section, show_target=False)))
    world.run(0.0)
    told = [each.entry.target for each in routes.of(AdvertiseEndpoint) if each.entry is not None]
    assert told == [None, str(TARGET), None]


def test_what_is_for_those_only_who_may_use_it_is_told_as_that_and_for_whom(world):
    routes, endpoint = set_up(world)
    section = EndpointSection(key="my-api", target=TARGET, visibility="granted")
    for changed in (section, msgspec.structs.replace(section, allow=("branch",))):
        endpoint.ref.tell(messages.ChangeEndpoint(changed))
        world.run(0.0)
    entry = EndpointEntry("my-api", None)
    assert [each.entry for each in routes.of(AdvertiseEndpoint)][1:] == [
        GrantedEndpoint(entry, frozenset()),
        GrantedEndpoint(entry, frozenset({"branch"})),
    ]
