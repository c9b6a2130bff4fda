"""What an endpoint receives."""

from typing import Any, TypeAlias

import msgspec

from actors.reaching import ReachDue
from actors.runtime.seam import Connected, ConnectFailed, NamesResolved, Ref


class AdmitConnection(msgspec.Struct, frozen=True):
    """Command: let a connection in; the answer is ``connection.TargetGranted`` or ``TargetDenied``."""

    connection: Ref[Any]


class ConnectionLeft(msgspec.Struct, frozen=True):
    """Fact: a connection that asked to be let in is gone."""

    connection_urn: str


class StopOffering(msgspec.Struct, frozen=True):
    """Command: let nobody in any more and withdraw the key."""


class CheckDue(msgspec.Struct, frozen=True):
    """Timer: see whether the target accepts connections."""


Inbound: TypeAlias = (
    AdmitConnection
    | ConnectionLeft
    | StopOffering
    | CheckDue
    | NamesResolved
    | Connected
    | ConnectFailed
    | ReachDue
)
