"""Where a link stands."""

import enum
from typing import Final


class State(enum.Enum):
    """Where a link stands."""

    HANDSHAKE = "handshake"
    CONFIRMING = "waiting for the peer's judgement"
    """Only where this agent dialed: the other end still has to like its certificate."""
    WAITING = "waiting for admission"
    UP = "up"
    LEAVING = "sending what is queued"
    FAREWELL = "waiting for the peer to close"
    CLOSED = "closed"


UNADMITTED: Final = frozenset({State.HANDSHAKE, State.CONFIRMING, State.WAITING})
"""States in which nobody but the link itself knows of its peer."""
