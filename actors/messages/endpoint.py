"""What an endpoint receives."""

from typing import TypeAlias

import msgspec

from actors.messages.connection import ExitInbound
from actors.messages.reaching import ReachDue
from actors.runtime.seam import Connected, ConnectFailed, NamesResolved, Ref
from mesh.config.schema import EndpointSection
from mesh.trust.identity import AgentId


class AdmitConnection(msgspec.Struct, frozen=True):
    """Command: let a connection in; the answer is ``connection.TargetGranted`` or ``TargetDenied``."""

    connection: Ref[ExitInbound]
    ingress: AgentId
    """For whom the place is."""


class ConnectionLeft(msgspec.Struct, frozen=True):
    """Fact: a connection that asked to be let in is gone."""

    connection_urn: str


class ConnectionClosing(msgspec.Struct, frozen=True):
    """Fact: one end of a connection that was let in has finished; its place is likely to be free soon."""

    connection_urn: str


class WaitOver(msgspec.Struct, frozen=True):
    """Timer: one that waits to be let in may have waited long enough."""


class ChangeEndpoint(msgspec.Struct, frozen=True):
    """Command: be as this section says, which has the same key, for connections that come from now on."""

    section: EndpointSection


class StopOffering(msgspec.Struct, frozen=True):
    """Command: let nobody in any more and withdraw the key."""


class CheckDue(msgspec.Struct, frozen=True):
    """Timer: see whether the target accepts connections."""


Inbound: TypeAlias = (
    AdmitConnection
    | ConnectionLeft
    | ConnectionClosing
    | WaitOver
    | ChangeEndpoint
    | StopOffering
    | CheckDue
    | NamesResolved
    | Connected
    | ConnectFailed
    | ReachDue
)
