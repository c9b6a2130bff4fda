"""Which connections of the HTTP server give way when there are too many."""

from typing import Any

import pytest
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]

from mesh.agent.dashboard.channels import MAX_CONNECTIONS, SPARE_CONNECTIONS, make_room

ROOM = MAX_CONNECTIONS - SPARE_CONNECTIONS
"""Connections that nobody has to leave for, listening sockets included."""


def channel(last_activity: float, *, asks: bool = False, leaves: bool = False) -> Any:
    """One without a socket, last active at ``last_activity`` seconds."""
    one = HTTPChannel.__new__(HTTPChannel)
    one.last_activity = last_activity
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


def test_those_that_leave_already_count_as_gone():
    gone = [channel(number, leaves=True) for number in range(3)]
    assert leaving([*gone, *(channel(10 + number) for number in range(ROOM))]) == [0, 1, 2]


def test_what_is_no_connection_counts_and_stays():
    polled: dict[int, Any] = {-1: object(), -2: object()}
    channels = [channel(number) for number in range(ROOM)]
    polled.update(enumerate(channels))
    make_room(polled, newcomer=channels[-1])
    assert [number for number, one in enumerate(channels) if one.will_close] == [0, 1]
