"""What the route table tells others to do, and its figures."""

from dataclasses import dataclass, field

import msgspec

from mesh.link.bodies import (
    WirePage,
    WireRecord,
    batch_pages,
    batch_records,
    batch_revocations,
    encode_pages,
    encode_records,
    encode_revocations,
)
from mesh.link.frames import FrameType
from mesh.routing.notices import Notice
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId
from mesh.trust.revocations import Revocations


class Send(msgspec.Struct, frozen=True):
    """Send one of a link's own frames to these peers."""

    peers: tuple[AgentId, ...]
    frame_type: FrameType
    body: bytes


class Close(msgspec.Struct, frozen=True):
    """Close the link to a peer that broke the protocol."""

    peer_id: AgentId
    reason: str


class Verdict(msgspec.Struct, frozen=True):
    """That an agent was revoked, or is so no more, for people."""

    agent: str
    """As logs name it."""
    what: str
    issuer: str = ""
    """Which issuer says so; empty if an authority does. It may name whom it likes, again and again."""


@dataclass(slots=True)
class Effects:
    """What to do, in this order: send, close, pass revocations on, publish, log."""

    sends: list[Send] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    snapshot: RouteSnapshot | None = None
    """New routes, where there are any."""
    notices: list[Notice] = field(default_factory=list)
    """Lines for people, each said once."""
    verified: int = 0
    """Records whose signatures were looked at."""
    revocations: Revocations | None = None
    """By which all others of this agent are to judge from now on, if they are new."""
    verdicts: list[Verdict] = field(default_factory=list)
    """Who is revoked now, and who no more."""
    rest: int = 0
    """How many records are still to be taken, before anything else that their peer says: the last ones."""

    def send_records(self, peers: tuple[AgentId, ...], records: list[WireRecord]) -> None:
        """Tell ``peers`` of ``records``, in as few frames as they fit into."""
        for batch in batch_records(records) if peers and records else ():
            self.sends.append(Send(peers, FrameType.RECORDS, encode_records(batch)))

    def send_revocations(self, peer_id: AgentId, lists: list[bytes]) -> None:
        """Give revocation ``lists`` to a peer, in as few frames as they fit into."""
        for batch in batch_revocations(lists):
            self.sends.append(Send((peer_id,), FrameType.REVOCATIONS, encode_revocations(batch)))

    def send_pages(self, peers: tuple[AgentId, ...], pages: list[WirePage]) -> None:
        """Give ``pages`` to ``peers``, in as few frames as they fit into."""
        for batch in batch_pages(pages) if peers else ():
            self.sends.append(Send(peers, FrameType.PAGES, encode_pages(batch)))


class RouteCounts(msgspec.Struct, frozen=True):
    """Figures for metrics; names that end in ``_total`` only rise."""

    agents: int
    links: int
    records_originated_total: int
    records_stored_total: int
    records_duplicate_total: int
    records_older_total: int
    records_aged_total: int
    records_early_total: int
    records_early_dropped_total: int
    records_twin_total: int
    records_refused_offence_total: int
    records_refused_certificate_total: int
    records_refused_clock_total: int
    records_refused_full_total: int
    records_expired_total: int
    agents_revoked: int
    revocation_lists_missing: int
    revocation_lists_taken_total: int
    revocation_lists_known_total: int
    revocation_lists_early_total: int
    revocation_lists_ahead_total: int
    revocation_lists_refused_total: int
    pages_missing: int
    pages_taken_total: int
    pages_unnamed_total: int
    routes_computed_total: int
