"""How an agent's root actor lives and leaves, as a table.

What everybody needs is built, and built anew when a part of it dies. Leaving, the agent first asks to be
spared: others are preferred, but those who have nobody else are served as before, until no connection is left
or most of the time is over. Only then it says "not through me" and lets nobody in any more. Two things must
come true now, in either order: the mesh has had the time to route around it, and its connections have
finished, or have been reset when their time is over. Then it withdraws, closes its links, and stops its
services.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.runtime import supervisor_messages


class Phase(enum.Enum):
    """Where the agent stands."""

    WAITING = "nothing is built; the next build is due"
    RUNNING = "running"
    YIELDING = "leaving: all are served, and the mesh comes to prefer others"
    LINGERING = "leaving: all are served as long as there are connections"
    DRAINING = "leaving: connections finish, and the mesh routes around"
    ROUTED_AROUND = "leaving: the mesh had its time, connections finish"
    EMPTY = "leaving: no connection is left, the mesh routes around"
    RESETTING = "leaving: the connections that were left have been reset"
    WITHDRAWING = "leaving: the links are given the withdrawal to send"
    CLOSING = "leaving: links are being closed"
    STOPPING = "leaving: services are being stopped"
    LEFT = "left"


class Event(enum.Enum):
    """What moves the agent on."""

    BUILT = "everything has been started"
    CORE_ENDED = "an actor that all others need has ended"
    LEAVE = "the agent shall leave"
    PREFERENCE_OVER = "the mesh has had its time to prefer others"
    LAST_CALL = "those who have nobody else have been served long enough"
    GRACE_OVER = "the mesh has had its time to route around"
    CONNECTIONS_GONE = "no connection ends here any more"
    DRAIN_TIMED_OUT = "connections have had their time to finish"
    RESET_TIMED_OUT = "connections have had their time to say that they are reset"
    WITHDRAWN = "the links have the withdrawal to send"
    LINKS_CLOSED = "every link has been closed in order"
    CLOSING_TIMED_OUT = "links have had their time to close"
    SERVICES_STOPPED = "every service has stopped"


TRANSITIONS: Final[Mapping[tuple[Phase, Event], Phase]] = MappingProxyType(
    {
        (Phase.WAITING, Event.BUILT): Phase.RUNNING,
        (Phase.RUNNING, Event.CORE_ENDED): Phase.WAITING,
        (Phase.WAITING, Event.LEAVE): Phase.LEFT,
        (Phase.RUNNING, Event.LEAVE): Phase.YIELDING,
        (Phase.YIELDING, Event.PREFERENCE_OVER): Phase.LINGERING,
        (Phase.YIELDING, Event.LAST_CALL): Phase.DRAINING,
        (Phase.LINGERING, Event.CONNECTIONS_GONE): Phase.DRAINING,
        (Phase.LINGERING, Event.LAST_CALL): Phase.DRAINING,
        (Phase.DRAINING, Event.GRACE_OVER): Phase.ROUTED_AROUND,
        (Phase.DRAINING, Event.CONNECTIONS_GONE): Phase.EMPTY,
        (Phase.DRAINING, Event.DRAIN_TIMED_OUT): Phase.RESETTING,
        (Phase.ROUTED_AROUND, Event.CONNECTIONS_GONE): Phase.WITHDRAWING,
        (Phase.ROUTED_AROUND, Event.DRAIN_TIMED_OUT): Phase.RESETTING,
        (Phase.EMPTY, Event.GRACE_OVER): Phase.WITHDRAWING,
        (Phase.RESETTING, Event.CONNECTIONS_GONE): Phase.WITHDRAWING,
        (Phase.RESETTING, Event.RESET_TIMED_OUT): Phase.WITHDRAWING,
        (Phase.WITHDRAWING, Event.WITHDRAWN): Phase.CLOSING,
        (Phase.WITHDRAWING, Event.CLOSING_TIMED_OUT): Phase.STOPPING,
        (Phase.CLOSING, Event.LINKS_CLOSED): Phase.STOPPING,
        (Phase.CLOSING, Event.CLOSING_TIMED_OUT): Phase.STOPPING,
        (Phase.STOPPING, Event.SERVICES_STOPPED): Phase.LEFT,
        # Nobody may be left to say that all services have stopped.
        (Phase.STOPPING, Event.CORE_ENDED): Phase.LEFT,
    }
)
"""An absent pair changes nothing: what it tells of comes too late, or a second time.

So an actor that dies while the agent leaves is missed by nobody: a time limit takes the place of its answer.
"""

EVENTS: Final[Mapping[type[object], Event]] = MappingProxyType(
    {
        messages.PreferenceOver: Event.PREFERENCE_OVER,
        messages.LastCall: Event.LAST_CALL,
        messages.GraceOver: Event.GRACE_OVER,
        table_messages.ConnectionsGone: Event.CONNECTIONS_GONE,
        messages.DrainTimedOut: Event.DRAIN_TIMED_OUT,
        messages.ResetTimedOut: Event.RESET_TIMED_OUT,
        route_messages.Withdrawn: Event.WITHDRAWN,
        directory_messages.LinksClosed: Event.LINKS_CLOSED,
        messages.ClosingTimedOut: Event.CLOSING_TIMED_OUT,
        supervisor_messages.ChildrenStopped: Event.SERVICES_STOPPED,
    }
)
"""What a message means for the phase."""
