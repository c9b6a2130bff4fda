"""What the serving end of a stream inside of an agent receives."""

from typing import TypeAlias

import msgspec

from actors.runtime.seam import Handover, StreamSocket


class ServeInside(Handover, frozen=True):
    """Command: serve whoever is at the other end of this socket."""

    socket: StreamSocket
    """The receiver owns it now."""

    def let_go(self) -> None:
        """Close the socket."""
        self.socket.close()


class EndService(msgspec.Struct, frozen=True):
    """Command: end, whoever is at the other end."""


class ServiceDue(msgspec.Struct, frozen=True):
    """Timer: something is due."""


Inbound: TypeAlias = ServeInside | EndService | ServiceDue
