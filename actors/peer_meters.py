"""What is counted of each peer with a link; when the last link to it ends, its figures go."""

from collections.abc import Mapping

from mesh.histogram import ROUND_TRIP_BOUNDS_S, Histogram
from mesh.trust.identity import AgentId


class PeerMeter:
    """Of one peer; the actors of its links write, the HTTP side reads."""

    __slots__ = ("forwarded_bytes", "received_bytes", "round_trips", "sent_bytes")

    def __init__(self) -> None:
        self.sent_bytes = 0
        """Written to its links: frames of all kinds, sealed."""
        self.received_bytes = 0
        """Read from its links."""
        self.forwarded_bytes = 0
        """Of the bodies that it brought and that were passed on to other agents."""
        self.round_trips = Histogram(ROUND_TRIP_BOUNDS_S)
        """Seconds between a ping and its answer."""


class PeerMeters:
    """Those of all linked peers. A link that replaces another one goes on with the same figures."""

    def __init__(self) -> None:
        self._meters: dict[AgentId, PeerMeter] = {}
        self._peers: dict[str, AgentId] = {}
        """Whom each link leads to, by the URN of its actor."""

    def linked(self, link_urn: str, peer_id: AgentId) -> PeerMeter:
        """A link to this peer has been admitted: where it counts."""
        self._peers[link_urn] = peer_id
        return self._meters.setdefault(peer_id, PeerMeter())

    def ended(self, link_urn: str) -> None:
        """A link has ended, admitted or not."""
        peer_id = self._peers.pop(link_urn, None)
        if peer_id is not None and peer_id not in self._peers.values():
            self._meters.pop(peer_id, None)

    def by_peer(self) -> Mapping[AgentId, PeerMeter]:
        """Those there are now; any thread may ask."""
        return self._meters.copy()
