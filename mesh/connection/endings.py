"""What is told of a connection that ends, at each of its ends, and of one that is open."""

import enum
from types import MappingProxyType
from typing import Final

import msgspec

from mesh.connection.stream import ResetCode


class Ending(enum.Enum):
    """How a connection has ended."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    OPEN = "open"
    """It has not."""
    CLOSED = "closed"
    """Both sides have finished."""
    CLIENT = "reset by the client"
    SERVICE = "reset by the service"
    REFUSED = "refused"
    """It was never open: no exit would serve it, or the target could not be reached."""
    CANCELLED = "given up"
    """The other end wanted it no more: it had another exit, or is leaving."""
    OPERATOR = "closed by operator"
    FORBIDDEN = "forbidden"
    """A certificate or a configuration that changed does not allow it any more."""
    LOST = "lost"
    """The ends could not reach each other any more, or one of them was not what it was."""
    STOPPED = "stopped"
    """This end's agent was leaving, or the connection has failed in it."""


class End(enum.Enum):
    """Which of a connection's ends tells of it."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    INGRESS = "ingress"
    EXIT = "exit"


_MEANINGS: Final = MappingProxyType(
    {
        ResetCode.CANCELLED: Ending.CANCELLED,
        ResetCode.CLOSED_BY_OPERATOR: Ending.OPERATOR,
        ResetCode.FORBIDDEN: Ending.FORBIDDEN,
    }
)
"""Of the other end's reset, at either end; ``RESET`` depends on the end, and all others are ``LOST``."""


def ending_of(code: ResetCode, end: End) -> Ending:
    """How a connection has ended that the other end has reset."""
    if code is ResetCode.RESET:
        return Ending.SERVICE if end is End.INGRESS else Ending.CLIENT
    return _MEANINGS.get(code, Ending.LOST)


class ConnectionView(msgspec.Struct, frozen=True, gc=False):
    """A connection, as one of its ends sees it."""

    id: str
    """The same at both ends; empty if it has never been open and no exit has answered."""
    end: End
    key: str
    client: str
    """Address of the client; the exit does not know it."""
    ingress: str
    """The agent that let the client in, as logs name agents."""
    exit: str
    """The agent that serves it; empty if none was found."""
    target: str
    """Address of the service, or what the endpoint has in its place; the ingress does not know it."""
    age_s: float
    """Seconds since it began, at this end."""
    to_service_bytes: int
    """What this end has taken from the client, or handed to the service."""
    to_client_bytes: int
    """The other way."""
    rtt_ms: float | None = None
    """Round trip between the two ends, if it has been measured."""


_RECORD_BYTES: Final = 300
"""What a record takes beside what others chose, about."""


class ConnectionRecord(msgspec.Struct, frozen=True, gc=False):
    """A connection that has ended."""

    view: ConnectionView
    """As it was at the end."""
    ending: Ending
    reason: str
    """In more words, if there are any."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        view = self.view
        return _RECORD_BYTES + len(self.reason) + len(view.key) + len(view.ingress) + len(view.exit)
