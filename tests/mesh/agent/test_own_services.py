"""How an agent's own listeners and endpoints are shown, by what their actors say."""

import pytest

from actors.connections.endpoint import NOT_CHECKED, WITHDRAWN
from actors.listener_meter import ListenerMeter, NamedMeter, Refusals
from actors.messages.agent import PartState
from mesh.addresses import TcpAddress
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.own_services import NOT_YET, OwnServices
from mesh.config.schema import Config, EndpointSection, ForwardSection, ListenerSection
from mesh.connection.candidates import SetAside
from mesh.routing.counterparts import NO_OFFER, NO_REGISTER, NO_USE
from tests.actors.company import IDENTITIES, routes_of
from tests.mesh.agent.test_grants import certificate

OWN, OTHER = IDENTITIES[:2]
ANY_PORT = TcpAddress("127.0.0.1", 0)
API = f"listener api {ANY_PORT} (1)"
CONFIG = Config(
    forward=ForwardSection(
        listeners=(ListenerSection(key="api", address=ANY_PORT),),
        endpoints=(EndpointSection(key="db", target=TcpAddress("127.0.0.1", 5432)),),
    )
)


def services(config=CONFIG, *, parts=(), meters=None, use=("*",), register=("*",), named=()):
    return OwnServices(
        config=config,
        certificate=certificate(may_use=use, may_register=register),
        parts={part.name: part for part in parts},
        meters=meters or {},
        routes=routes_of(OWN),
        unix_s_of=lambda at_s: 1_000.0 + at_s,
        named=named,
    )


def listener(**meter):
    found = services(parts=(PartState(API, None, 1.0),), meters={API: ListenerMeter(2.0, "[::1]:1", **meter)})
    return found.listeners[0]


def test_a_listener_without_a_port_is_closed_with_the_reason_and_since_when():
    (one,) = services().listeners
    assert (one.state, one.reason, one.since_unix_s) == (ServiceState.CLOSED, NOT_YET, None)
    found = services(parts=(PartState(API, "port taken", 5.0),))
    (one,) = found.listeners
    assert (one.state, one.reason, one.since_unix_s) == (ServiceState.CLOSED, "port taken", 1_005.0)
    (problem,) = found.closed()
    assert problem.line() == f"listener api at {ANY_PORT}: port taken (since 1970-01-01 00:16:45 UTC)"


def test_ports_with_an_address_in_common_are_told_apart():
    config = Config(forward=ForwardSection(listeners=CONFIG.forward.listeners * 2))
    names = [f"listener api {ANY_PORT} ({number})" for number in (1, 2)]
    parts = (PartState(names[0], None, 0.0), PartState(names[1], "taken", 0.0))
    meters = {names[0]: ListenerMeter(0.0, "127.0.0.1:7001", is_open=True)}
    shown = services(config, parts=parts, meters=meters).listeners
    assert [(one.address, one.state) for one in shown] == [
        ("127.0.0.1:7001", ServiceState.OPEN),
        (str(ANY_PORT), ServiceState.CLOSED),
    ]


def test_a_listener_is_open_or_says_why_it_refuses():
    assert listener(is_open=True).state is ServiceState.OPEN
    parked = listener()
    assert (parked.state, parked.reason) == (ServiceState.PARKED, NO_OFFER)
    assert (parked.address, parked.since_unix_s) == ("[::1]:1", 1_002.0)
    part, meter = PartState(API, None, 1.0), ListenerMeter(2.0)
    (barred,) = services(parts=(part,), meters={API: meter}, use=()).listeners
    assert (barred.state, barred.reason) == (ServiceState.NOT_PERMITTED, NO_USE)


@pytest.mark.parametrize(("count", "said"), [(1, "one connection is"), (1_200, "1,200 connections are")])
def test_a_listener_without_its_right_says_who_is_in_all_the_same(count, said):
    part, meter = PartState(API, None, 1.0), ListenerMeter(2.0, connected=lambda: count)
    (barred,) = services(parts=(part,), meters={API: meter}, use=()).listeners
    assert barred.reason.startswith(f"{NO_USE}; {said} open from before: ")


@pytest.mark.parametrize(("clients", "said"), [(1, "one client"), (1_200, "1,200 clients in a row")])
def test_a_listener_that_refused_its_last_clients_says_so(clients, said):
    meters = {API: ListenerMeter(2.0, is_open=True, refusals=Refusals(clients, 9.0, "refused at hq"))}
    found = services(parts=(PartState(API, None, 1.0),), meters=meters)
    (one,) = found.listeners
    assert (one.state, one.since_unix_s) == (ServiceState.REFUSING, 1_009.0)
    assert one.reason == f"{said}, the latest because of: refused at hq"
    (warning,) = found.refusing()
    assert warning.what.startswith(f"listener api refused its last clients: {said}")


def test_an_exit_set_aside_is_shown_with_why_and_until_when():
    (exit_,) = listener(is_open=True, aside=(SetAside(OTHER.id, "bad\ncode", 3.0, 8.0),)).aside
    assert (exit_.agent_id, exit_.reason) == (OTHER.id, "bad\\ncode")
    assert (exit_.since_unix_s, exit_.until_unix_s) == (1_003.0, 1_008.0)


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (None, ServiceState.OFFERED),
        (NOT_CHECKED, ServiceState.WITHHELD),
        (f"{WITHDRAWN}: 127.0.0.1:5432: refused", ServiceState.WITHDRAWN),
    ],
)
def test_an_endpoint_is_offered_or_says_since_when_not(trouble, state):
    found = services(parts=(PartState("endpoint db", trouble, 4.0),))
    (one,) = found.endpoints
    assert (one.state, one.reason, one.since_unix_s) == (state, trouble or "", 1_004.0)
    assert len(found.withdrawn()) == (state is ServiceState.WITHDRAWN)


def test_an_endpoint_whose_key_the_certificate_does_not_grant_is_not_offered():
    (one,) = services(register=()).endpoints
    assert (one.state, one.reason) == (ServiceState.NOT_PERMITTED, NO_REGISTER)


def test_a_key_asked_for_by_name_is_shown_once_with_the_worst_that_is_known_of_it():
    meters = (
        ListenerMeter(2.0, is_open=True),
        ListenerMeter(3.0, is_open=True, refusals=Refusals(2, 9.0, "refused at hq")),
        ListenerMeter(4.0),
    )
    found = services(named=[NamedMeter("api", each) for each in meters])
    (one,) = found.named
    assert (one.key, one.address, one.state, one.since_unix_s) == (
        "api",
        "socks",
        ServiceState.REFUSING,
        1_009.0,
    )
    assert one.refused_clients == 2
    (told,) = found.refusing()
    assert told.what.startswith("key api, asked for by name, refused its last clients: 2 clients in a row")
    (one,) = services(named=[NamedMeter("api", each) for each in (meters[2], meters[0])]).named
    assert (one.state, one.since_unix_s) == (ServiceState.PARKED, 1_004.0)
    assert one.reason
