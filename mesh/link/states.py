"""The life of a link, as a table."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mesh.transitions import stepping


class LinkState(enum.Enum):
    """Where a link stands."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    HANDSHAKE = "handshake"
    CONFIRMING = "waiting for the peer's judgement"
    """Only if this agent dialed: the other end has yet to accept its certificate."""
    WAITING = "waiting for admission"
    UP = "up"
    LEAVING = "sending what is queued"
    PARTING = "saying why it is closed"
    FAREWELL = "waiting for the peer to close"
    CLOSED = "closed"


class LinkEvent(enum.Enum):
    """What moves a link on."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    PROVEN_TO_DIALER = "the peer that was dialed has proven its identity"
    PROVEN_TO_ACCEPTOR = "the peer that dialed has proven its identity"
    CONFIRMED = "the peer has accepted this agent"
    ADMITTED = "this agent keeps the link"
    LEFT = "this agent closes the link in order"
    SENT = "all that waited has been sent"
    ENDED = "the socket is closed"


TRANSITIONS: Final[Mapping[tuple[LinkState, LinkEvent], LinkState]] = MappingProxyType(
    {
        (LinkState.HANDSHAKE, LinkEvent.PROVEN_TO_DIALER): LinkState.CONFIRMING,
        (LinkState.HANDSHAKE, LinkEvent.PROVEN_TO_ACCEPTOR): LinkState.WAITING,
        (LinkState.CONFIRMING, LinkEvent.CONFIRMED): LinkState.WAITING,
        (LinkState.WAITING, LinkEvent.ADMITTED): LinkState.UP,
        (LinkState.WAITING, LinkEvent.LEFT): LinkState.LEAVING,
        (LinkState.UP, LinkEvent.LEFT): LinkState.LEAVING,
        (LinkState.LEAVING, LinkEvent.SENT): LinkState.PARTING,
        (LinkState.PARTING, LinkEvent.SENT): LinkState.FAREWELL,
        **{
            (state, LinkEvent.ENDED): LinkState.CLOSED for state in LinkState if state is not LinkState.CLOSED
        },
    }
)
"""An absent pair is a bug of this agent's own."""

UNADMITTED: Final = frozenset({LinkState.HANDSHAKE, LinkState.CONFIRMING, LinkState.WAITING})
"""States in which nobody but the link itself knows of its peer."""

CARRYING: Final = (LinkState.UP, LinkState.LEAVING, LinkState.PARTING)
"""States of a link that takes frames, the one that it is in for nearly all its life first."""

ENDING: Final = frozenset({LinkState.LEAVING, LinkState.PARTING, LinkState.FAREWELL})
"""States of a link that is being closed in order."""

advance: Final = stepping("a link", TRANSITIONS)
"""The state after an event; LocalProtocolError if it cannot happen in this state."""

PARTING: Final = (LinkState.LEAVING, LinkState.PARTING)
"""States in which a link that has sent everything goes on to its end."""

SILENT: Final = (LinkState.FAREWELL, LinkState.CLOSED)
"""States in which a link sends nothing new."""
