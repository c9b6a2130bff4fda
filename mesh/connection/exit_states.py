"""The life of an opening at its exit, as a table."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mesh.transitions import stepping


class ExitState(enum.Enum):
    """Where an opening stands."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    JUDGING = "judging the OPEN"
    ADMITTING = "asking its endpoint"
    REACHING = "reaching its target"
    ANSWERING = "waiting for its target's first words"
    """The target has what the client has said: the answer can only be yes."""
    ACCEPTED = "accepted"
    """The answer is repeated until the ingress shows that it has chosen this exit."""
    REJECTED = "rejected"
    """It stays for a moment, to repeat the answer."""
    OPEN = "open"
    ENDED = "ended"


class ExitEvent(enum.Enum):
    """What moves an opening on."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    FORGED = "the OPEN is not its ingress's"
    ASKED = "the endpoint has been asked"
    GRANTED = "the endpoint lets the connection in"
    REACHED = "the target has accepted"
    HANDED_OVER = "the target has what the client has said"
    ANSWERED = "the target has answered, or had the time to"
    REFUSED = "the answer is no"
    CONFIRMED = "the ingress has chosen this exit"
    TIME_IS_UP = "nobody waits for it any more"


TRANSITIONS: Final[Mapping[tuple[ExitState, ExitEvent], ExitState]] = MappingProxyType(
    {
        (ExitState.JUDGING, ExitEvent.FORGED): ExitState.ENDED,
        (ExitState.JUDGING, ExitEvent.REFUSED): ExitState.REJECTED,
        (ExitState.JUDGING, ExitEvent.ASKED): ExitState.ADMITTING,
        (ExitState.ADMITTING, ExitEvent.REFUSED): ExitState.REJECTED,
        (ExitState.ADMITTING, ExitEvent.GRANTED): ExitState.REACHING,
        (ExitState.REACHING, ExitEvent.REFUSED): ExitState.REJECTED,
        (ExitState.REACHING, ExitEvent.REACHED): ExitState.ACCEPTED,
        (ExitState.REACHING, ExitEvent.HANDED_OVER): ExitState.ANSWERING,
        (ExitState.ANSWERING, ExitEvent.ANSWERED): ExitState.ACCEPTED,
        (ExitState.ACCEPTED, ExitEvent.CONFIRMED): ExitState.OPEN,
        (ExitState.ACCEPTED, ExitEvent.TIME_IS_UP): ExitState.ENDED,
        (ExitState.REJECTED, ExitEvent.TIME_IS_UP): ExitState.ENDED,
    }
)
"""An absent pair is a bug of this agent's own."""

UNANSWERED: Final = (ExitState.JUDGING, ExitState.ADMITTING, ExitState.REACHING)
"""States in which the ingress may still be rejected."""

advance: Final = stepping("an opening", TRANSITIONS)
"""The state after an event; LocalProtocolError if it cannot happen in this state."""
