"""What a listener receives."""

from typing import Any, TypeAlias

import msgspec

from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Ref
from mesh.identity import AgentId


class CandidateFailed(msgspec.Struct, frozen=True):
    """Fact: an exit did not open a connection; ``code`` is that of its REJECT, or the ingress's own."""

    exit_id: AgentId
    code: str


class CandidateServed(msgspec.Struct, frozen=True):
    """Fact: an exit accepted a connection."""

    exit_id: AgentId


class FindCandidate(msgspec.Struct, frozen=True):
    """Query of a connection that is being opened: does ``exit_id`` offer the key now?

    The answer is a :class:`actors.messages.connection.CandidateFound`.
    """

    reply_to: Ref[Any]
    exit_id: AgentId


class BindDue(msgspec.Struct, frozen=True):
    """Timer: try again to take the port."""


class AcceptAgain(msgspec.Struct, frozen=True):
    """Timer: descriptors may have become free; go on accepting."""


class StopListening(msgspec.Struct, frozen=True):
    """Command: close the port; the connections stay."""


Inbound: TypeAlias = (
    CandidateFailed | CandidateServed | FindCandidate | BindDue | AcceptAgain | StopListening | RoutesChanged
)
