"""What receives who serves the clients that ask for one key by name."""

from typing import TypeAlias

import msgspec

from actors.messages.connection import Clients
from actors.messages.listener import FromIngress
from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Handover, StreamSocket


class ServeByName(Handover, frozen=True):
    """Command: open a connection for this client, which waits for a reply of SOCKS5."""

    socket: StreamSocket
    """The receiver owns it now."""
    clients: Clients
    """Where the client is expected."""

    def let_go(self) -> None:
        """Reset the client."""
        self.socket.abort()
        self.clients.leave(self.socket)


class LookIdle(msgspec.Struct, frozen=True):
    """Timer: nobody may have asked for the key for a while."""


class Finish(msgspec.Struct, frozen=True):
    """Command: keep nothing ready for others, for hardly anybody comes any more; what has begun goes on."""


class Retire(msgspec.Struct, frozen=True):
    """Command: end; the connections stay."""


Inbound: TypeAlias = FromIngress | RoutesChanged | ServeByName | LookIdle | Finish | Retire
