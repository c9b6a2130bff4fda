"""The life of an opening at its ingress, as a table."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mesh.transitions import stepping


class IngressState(enum.Enum):
    """Where an opening stands."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    STANDING_BY = "standing by"
    """No client has come yet."""
    OPENING = "opening"
    """A client waits while candidates are tried."""
    OPEN = "open"
    """An exit was chosen; any other that accepts is declined."""
    ABANDONED = "without its client"
    """It has left, or was given up; answers are still awaited, to decline what they opened."""
    ENDED = "ended"


class IngressEvent(enum.Enum):
    """What moves an opening on."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    CLIENT_CAME = "a client has come"
    EXIT_CHOSEN = "an exit has accepted"
    CLIENT_LEFT = "the client has left"
    NOTHING_LEFT = "nobody is left to be tried or to answer"
    TIME_IS_UP = "the time for opening is over"
    DISCARDED = "it is not needed any more"


TRANSITIONS: Final[Mapping[tuple[IngressState, IngressEvent], IngressState]] = MappingProxyType(
    {
        (IngressState.STANDING_BY, IngressEvent.CLIENT_CAME): IngressState.OPENING,
        (IngressState.STANDING_BY, IngressEvent.DISCARDED): IngressState.ENDED,
        (IngressState.OPENING, IngressEvent.EXIT_CHOSEN): IngressState.OPEN,
        (IngressState.OPENING, IngressEvent.CLIENT_LEFT): IngressState.ABANDONED,
        (IngressState.OPENING, IngressEvent.NOTHING_LEFT): IngressState.ABANDONED,
        (IngressState.OPENING, IngressEvent.TIME_IS_UP): IngressState.ENDED,
        (IngressState.OPEN, IngressEvent.TIME_IS_UP): IngressState.OPEN,
        (IngressState.ABANDONED, IngressEvent.NOTHING_LEFT): IngressState.ENDED,
        (IngressState.ABANDONED, IngressEvent.TIME_IS_UP): IngressState.ENDED,
    }
)
"""An absent pair is a bug of this agent's own."""

advance: Final = stepping("an opening", TRANSITIONS)
"""The state after an event; LocalProtocolError if it cannot happen in this state."""
