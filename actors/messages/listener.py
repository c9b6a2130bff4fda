"""What a listener receives."""

from typing import TypeAlias

import msgspec

from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Ref
from mesh.config.schema import ListenerSection
from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.trust.identity import AgentId


class CandidateFailed(msgspec.Struct, frozen=True):
    """Fact: an exit did not open a connection; ``code`` is that of its REJECT, or the ingress's own."""

    exit_id: AgentId
    code: str


class ClientGivenUp(msgspec.Struct, frozen=True):
    """Fact: a client was reset, for no exit would serve it.

    Those in ``unanswered`` were asked and are silent, or would have been asked if a path had led there.
    """

    why: str
    unanswered: tuple[AgentId, ...]


class CandidateServed(msgspec.Struct, frozen=True):
    """Fact: an exit accepted a connection."""

    exit_id: AgentId


class CandidatesFound(msgspec.Struct, frozen=True):
    """The answer to :class:`FindCandidates`: who offers the key, the one to try first at the front."""

    offers: tuple[Offer, ...]


class FindCandidates(msgspec.Struct, frozen=True):
    """Query of a connection that is being opened: who offers the key now, beside those it has ``tried``?"""

    reply_to: Ref[CandidatesFound]
    tried: frozenset[Party]


class ReportDue(msgspec.Struct, frozen=True):
    """Timer: others have had the time to offer the key since the start."""


class BindDue(msgspec.Struct, frozen=True):
    """Timer: try again to take the port."""


class PlaceFree(msgspec.Struct, frozen=True):
    """Fact: a client is gone while another waited for its place."""


class WaitOver(msgspec.Struct, frozen=True):
    """Timer: one that waits for a place may have waited long enough."""


class AcceptAgain(msgspec.Struct, frozen=True):
    """Timer: descriptors may have become free; go on accepting."""


class ChangeListener(msgspec.Struct, frozen=True):
    """Command: be as this section says, for clients that come from now on; key and address are the same."""

    section: ListenerSection


class StopListening(msgspec.Struct, frozen=True):
    """Command: close the port; the connections stay."""


OfCandidates: TypeAlias = CandidateFailed | ClientGivenUp | CandidateServed | FindCandidates
FromIngress: TypeAlias = OfCandidates | PlaceFree
"""What an ingress connection tells whoever has handed it its client."""

Inbound: TypeAlias = (
    FromIngress
    | WaitOver
    | ReportDue
    | BindDue
    | AcceptAgain
    | ChangeListener
    | StopListening
    | RoutesChanged
)
