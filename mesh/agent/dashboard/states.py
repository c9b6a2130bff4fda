"""In which states peers, listeners and endpoints are shown."""

import enum
from typing import Final

CONNECTED: Final = "connected"
"""State of a peer with a live link; any other text says what is being done about it."""


class ServiceState(enum.StrEnum):
    """How a listener or an endpoint of this agent is, in words for people."""

    OPEN = "open"
    """A listener lets clients in."""
    OFFERED = "offered"
    """An endpoint's key is offered to the mesh."""
    PARKED = "refuses clients"
    """Nobody offers a listener's key within reach."""
    REFUSING = "refused its last clients"
    """A listener is open, and no exit would serve those that came last."""
    NOT_PERMITTED = "not permitted"
    """The agent's certificate does not grant the key."""
    CLOSED = "closed"
    """A listener has no port."""
    WITHHELD = "not offered yet"
    """An endpoint waits for the first check of its target."""
    WITHDRAWN = "withdrawn"
    """An endpoint's target has failed its health check."""
