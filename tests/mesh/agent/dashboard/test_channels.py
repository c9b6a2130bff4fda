"""Which connections of the HTTP server give way, end in time, or wait for their turn."""

import socket
from typing import Any

import pytest
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.server import BaseWSGIServer  # type: ignore[import-untyped]

from mesh.agent.dashboard.arrivals import TAKEN_BURST
from mesh.agent.dashboard.channels import (
    BURST,
    MAX_CONNECTIONS,
    REQUEST_TIMEOUT_S,
    REQUESTS_PER_S,
    SPARE_CONNECTIONS,
    UNREAD_TIMEOUT_S,
    ClientChannel,
    Pace,
    accept,
    client_of,
    close_overdue,
    make_room,
    make_room_at_limit,
)

ROOM = MAX_CONNECTIONS - SPARE_CONNECTIONS
"""Connections that nobody has to leave for, listening sockets included."""


def channel(
    last_activity: float, *, asks: bool = False, leaves: bool = False, host: str = "127.0.0.1"
) -> Any:
    """One without a socket, last active at ``last_activity`` seconds."""
    one = HTTPChannel.__new__(HTTPChannel)
    one.last_activity = last_activity
    one.addr = (host, 40_000)
    one.requests = ["GET /ready"] if asks else []
    one.will_close = leaves
    return one


def leaving(channels: list[Any]) -> list[int]:
    """Which of them are to be closed after the last one has come."""
    make_room(dict(enumerate(channels)), newcomer=channels[-1])
    return [number for number, one in enumerate(channels) if one.will_close]


def test_nobody_leaves_while_there_is_room():
    assert leaving([channel(number) for number in range(ROOM)]) == []


def test_those_idle_for_longest_leave_whatever_their_order():
    channels = [channel(number) for number in (*range(10, 10 + ROOM), 3, 1, 99_999)]
    assert leaving(channels) == [0, ROOM, ROOM + 1]


@pytest.mark.parametrize("excess", [1, 5])
def test_whoever_asks_stays_and_so_does_the_newcomer(excess: int):
    asking = [channel(number, asks=True) for number in range(ROOM)]
    idle = [channel(1_000 + number) for number in range(excess)]
    newcomer = channel(0)
    assert leaving([*asking, *idle, newcomer]) == list(range(ROOM, ROOM + excess))


def test_at_the_limit_room_is_made_as_soon_as_somebody_is_idle_though_nobody_comes():
    """All were busy when the last ones came, and nobody is accepted any more."""
    channels = [channel(number, asks=True) for number in range(MAX_CONNECTIONS)]
    polled = dict(enumerate(channels))
    make_room_at_limit(polled)
    assert not any(one.will_close for one in channels)
    for one in channels[5:]:
        one.requests = []
    make_room_at_limit(dict(list(polled.items())[1:]))
    assert not any(one.will_close for one in channels)
    make_room_at_limit(polled)
    assert [number for number, one in enumerate(channels) if one.will_close] == [
        *range(5, 5 + SPARE_CONNECTIONS)
    ]


def test_those_that_leave_already_count_as_gone():
    gone = [channel(number, leaves=True) for number in range(3)]
    assert leaving([*gone, *(channel(10 + number) for number in range(ROOM))]) == [0, 1, 2]


def test_what_is_no_connection_counts_and_stays():
    polled: dict[int, Any] = {-1: object(), -2: object()}
    channels = [channel(number) for number in range(ROOM)]
    polled.update(enumerate(channels))
    make_room(polled, newcomer=channels[-1])
    assert [number for number, one in enumerate(channels) if one.will_close] == [0, 1]


def test_whoever_has_most_connections_loses_first():
    few = [channel(number, host="192.0.2.1") for number in range(5)]
    many = [channel(1_000 + number, host="192.0.2.2") for number in range(ROOM - 5)]
    newcomer = channel(0, host="192.0.2.2")
    assert leaving([*few, *many, newcomer]) == [5]


def client(pace: Pace, **state: Any) -> Any:
    """A connection that arrived at 0 s, without a socket."""
    one = ClientChannel.__new__(ClientChannel)
    fields = {"request": None, "requests": [], "total_outbufs_len": 0, "last_activity": 0.0, "closed": False}
    vars(one).update(fields | {"_pace": pace, "_requests_begun": 1, "_since": 0.0} | state)
    one.handle_close = lambda: setattr(one, "closed", True)
    return one


@pytest.mark.parametrize(
    ("state", "closed_at"),
    [
        ({"_requests_begun": 0}, REQUEST_TIMEOUT_S),
        ({"request": "GET /he"}, REQUEST_TIMEOUT_S),
        ({"request": "GET /he", "last_activity": 1e9}, REQUEST_TIMEOUT_S),
        ({"total_outbufs_len": 5}, UNREAD_TIMEOUT_S),
        ({"total_outbufs_len": 5, "requests": ["GET /"]}, UNREAD_TIMEOUT_S),
        ({}, None),
        ({"requests": ["GET /ready"]}, None),
    ],
)
def test_a_request_that_trickles_and_an_answer_that_is_not_read_have_an_end(
    state: dict[str, Any], closed_at: float | None
):
    one = client(Pace(), **state)
    for now in (0.0, 5.0, 9.9, 10.0, 10.1, 19.9, 20.0, 20.1, 1000.0):
        is_over = closed_at is not None and now > closed_at
        assert close_overdue({1: one}, now, now) is (closed_at is not None and not is_over)
        assert one.closed is is_over


def listening() -> Any:
    return BaseWSGIServer.__new__(BaseWSGIServer)


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::7:8", "2001:db8::/64")],
)
def test_whoever_has_a_network_of_ipv6_has_one_turn(host: str, address: str):
    server = listening()
    with socket.socket() as client:
        server.accept = lambda: (client, (host, 40_000))
        server.set_socket_options = lambda _: None
        arrived = accept(server)
    assert arrived is not None
    assert arrived.address == address
    assert client_of(channel(0.0, host=host)) == address


def test_those_that_have_arrived_have_their_turn_though_others_owe_many_requests():
    pace = Pace()
    pace.requests.spend(0.0, BURST + 100.0)
    assert pace.wait_s(0.0) > 1.0
    pace.arrivals._taken.spend(0.0, TAKEN_BURST)
    assert pace.wait_s(0.0) < 0.01


def test_nobody_waits_who_comes_at_a_human_pace():
    pace = Pace()
    polled = {1: listening(), 2: client(pace), 3: client(pace, _requests_begun=0)}
    for now in range(1000):
        assert pace.heard(polled, now / 10) == polled
        pace.requests.spend(now / 10, 5.0)


def test_whoever_asks_again_and_again_waits_and_a_newcomer_does_not():
    pace = Pace()
    greedy = {number: client(pace) for number in range(90)}
    busy = {
        90: client(pace, request="GET /he"),
        91: client(pace, _requests_begun=0),
        92: client(pace, total_outbufs_len=5),
        93: listening(),
        94: object(),
    }
    pace.requests.spend(0.0, BURST + 50)
    assert pace.heard(greedy | busy, 0.0) == busy
    assert pace.wait_s(0.0) == pytest.approx(51 / REQUESTS_PER_S)
    assert pace.heard(greedy | busy, 0.52) == greedy | busy
