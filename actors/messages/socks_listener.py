"""What a SOCKS listener receives."""

from typing import TypeAlias

import msgspec

from actors.messages.listener import AcceptAgain, BindDue, StopListening
from actors.messages.named_service import Inbound as ServiceInbound
from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Ref
from mesh.config.schema import SocksSection
from mesh.socks.names import Wanted


class HandshakesDue(msgspec.Struct, frozen=True):
    """Timer: the oldest handshake may have had its time."""


class ServiceIdle(msgspec.Struct, frozen=True):
    """Fact: nobody has asked for this for a while; its actor waits to be told to end."""

    wanted: Wanted
    service: Ref[ServiceInbound]


class ChangeSocks(msgspec.Struct, frozen=True):
    """Command: be as this section says, for clients that come from now on; the address is the same."""

    section: SocksSection


Inbound: TypeAlias = (
    HandshakesDue | ServiceIdle | ChangeSocks | StopListening | BindDue | AcceptAgain | RoutesChanged
)
