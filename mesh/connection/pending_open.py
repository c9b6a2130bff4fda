"""An OPEN that an exit looks at: whether its number is used up, and whether it is still under way.

The connection table makes one for each exit connection that it starts. What that finds out counts at
once, without a message: the next OPEN may be a replay of this one, or want its place.
"""

from typing import Protocol

from mesh.connection.open_admission import OpenAdmission
from mesh.connection.replay_window import ReplayWindow
from mesh.trust.identity import AgentId


class Pending(Protocol):
    """What an exit connection tells of its OPEN."""

    def authenticated(self) -> None:
        """It came from its ingress."""
        ...

    def settled(self, *, is_in_use: bool) -> None:
        """It has been answered; ``is_in_use`` says that the ingress has confirmed."""
        ...


class PendingOpen:
    """What an exit connection says of its OPEN.

    Args:
        admission: has admitted it.
        window: of the ingress's instance.
        source: the ingress.
        number: of the connection.
    """

    __slots__ = ("_admission", "_number", "_source", "_window")

    def __init__(self, admission: OpenAdmission, window: ReplayWindow, source: AgentId, number: int) -> None:
        self._admission = admission
        self._window = window
        self._source = source
        self._number = number

    def authenticated(self) -> None:
        """It came from its ingress: the number is used up."""
        self._window.mark(self._number)

    def settled(self, *, is_in_use: bool) -> None:
        """It has been answered; ``is_in_use`` says that the ingress has confirmed, and it costs nothing."""
        self._admission.settled(self._source, self._number, is_in_use=is_in_use)
