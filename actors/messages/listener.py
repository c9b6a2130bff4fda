"""What a listener receives."""

from typing import TypeAlias

import msgspec

from actors.messages.route_table import RoutesChanged


class ClientLeft(msgspec.Struct, frozen=True):
    """Fact: the socket of a client that was let in is closed."""


class BindDue(msgspec.Struct, frozen=True):
    """Timer: try again to take the port."""


class AcceptAgain(msgspec.Struct, frozen=True):
    """Timer: descriptors may have become free; go on accepting."""


class StopListening(msgspec.Struct, frozen=True):
    """Command: close the port; the connections stay."""


Inbound: TypeAlias = ClientLeft | BindDue | AcceptAgain | StopListening | RoutesChanged
