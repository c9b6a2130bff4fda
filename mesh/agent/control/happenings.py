"""What the control socket answers about events and connections, for both of its ends."""

from datetime import datetime

import msgspec

from mesh.connection.endings import ConnectionView
from mesh.journal import EventKind, Fact


class ToldEvent(msgspec.Struct, frozen=True):
    """Something that happened."""

    number: int
    """One more than that of the event before, of whatever kind."""
    time: datetime
    kind: EventKind
    level: str
    """As in the log: info, warning, error or critical."""
    message: str
    facts: dict[str, Fact]
    """What the message names."""


class ToldEvents(msgspec.Struct, frozen=True):
    """Some events, the oldest first."""

    events: tuple[ToldEvent, ...]
    cursor: str
    """To be asked with as ``after`` next time."""
    are_lost: bool
    """Whether there were others in between: they had to make room, or the agent has been started anew."""


class ConnectionPage(msgspec.Struct, frozen=True):
    """Some open connections, those that opened first first."""

    connections: tuple[ConnectionView, ...]
    next: int | None
    """Of the page that follows; null if this is the last."""
