"""Client connections of the HTTP server: when they become too many, the longest idle one makes room."""

from typing import Any, Final

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]

MAX_CONNECTIONS: Final = 100
"""What Waitress polls at one time, its listening sockets included; at that number it accepts nobody."""

SPARE_CONNECTIONS: Final = 8
"""Room that is made ahead of that: at the limit itself a client would wait until another one goes."""


class RoomMakingChannel(HTTPChannel):  # type: ignore[misc]
    """A client's connection; if it is one too many, those that have been idle for longest are closed.

    Otherwise anyone who opens 100 connections and says nothing would keep ``/ready`` from answering, and an
    orchestrator would restart an agent that is well. A client whose request is under way is never closed.
    """

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: dict[int, Any]) -> None:  # noqa: A002 -- Waitress's name
        super().__init__(server, sock, addr, adj, map=map)
        make_room(map, newcomer=self)


def make_room(polled: dict[int, Any], newcomer: HTTPChannel) -> None:
    """Mark idle connections to be closed, so many that there is room for the next client.

    To be called in Waitress's loop.

    Args:
        polled: everything that the loop polls, by descriptor.
        newcomer: the connection that has just come; it stays.
    """
    leaving = sum(1 for one in polled.values() if isinstance(one, HTTPChannel) and one.will_close)
    excess = len(polled) - leaving - (MAX_CONNECTIONS - SPARE_CONNECTIONS)
    if excess <= 0:
        return
    idle = [
        one
        for one in polled.values()
        if isinstance(one, HTTPChannel) and is_idle(one) and one is not newcomer
    ]
    for channel in sorted(idle, key=last_activity)[:excess]:
        channel.will_close = True  # the loop closes it: here it may yet hold an event for its descriptor


def is_idle(channel: HTTPChannel) -> bool:
    """Whether no complete request of it is under way and it is not closing already."""
    return not (channel.requests or channel.will_close)


def last_activity(channel: HTTPChannel) -> float:
    """When it was last read or written, as Waitress keeps it: seconds of the wall clock."""
    return float(channel.last_activity)
