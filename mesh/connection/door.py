"""Whether connections may go to a target without asking its endpoint, as they may to most.

An endpoint without a limit of its own has nothing to decide: it lets everybody in while it is offered and its
target is not down. Then it leaves its door open, and a connection enters without two messages there and back.
"""

from mesh.addresses import SocketAddress


class Door:
    """That of one endpoint, which keeps it; it stays when the endpoint is started again.

    Args:
        target: where it leads.
    """

    __slots__ = ("inside", "is_open", "target")

    def __init__(self, target: SocketAddress) -> None:
        self.target = target
        self.is_open = False
        """Else the endpoint is to be asked."""
        self.inside = 0
        """Connections that have entered by it."""

    def enter(self) -> None:
        """Count one in; the door is open."""
        self.inside += 1

    def leave(self) -> None:
        """Count one out, which has entered."""
        self.inside -= 1
