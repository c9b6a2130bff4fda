"""Linked peers: which of them the mesh is told of, and what is kept for each as long as its link lasts.

While the record of an earlier instance of a peer is held, the mesh is not told of the link: it would lead to
what that instance offered.
"""

from mesh.routing.answers import Answers
from mesh.routing.flooding import FloodQueue
from mesh.routing.origination import Originator
from mesh.routing.page_table import PageTable
from mesh.routing.records import Record
from mesh.trust.identity import AgentId, Instance


class Peers:
    """The peers; ``now`` is monotonic seconds.

    Each method that changes something says whether it changed what this agent says of itself.

    Args:
        originator: tells the mesh of links.
        flood: news for each peer.
        pages: asks peers for pages.
        answers: what peers are told of while they speak.
    """

    def __init__(self, originator: Originator, flood: FloodQueue, pages: PageTable, answers: Answers) -> None:
        self._originator = originator
        self._flood = flood
        self._pages = pages
        self._answers = answers
        self._linked: set[AgentId] = set()
        self._unheard: dict[AgentId, tuple[Instance, float]] = {}
        """Linked peers that were restarted and whose present record has not come: instance, round trip."""

    def __len__(self) -> int:
        """Peers that are linked."""
        return len(self._linked)

    def __contains__(self, peer_id: object) -> bool:
        """Whether there is a link to ``peer_id``."""
        return peer_id in self._linked

    @property
    def all(self) -> tuple[AgentId, ...]:
        """All linked peers, in the order of their IDs."""
        return tuple(sorted(self._linked))

    def others(self, peer_id: AgentId) -> tuple[AgentId, ...]:
        """All linked peers but this one."""
        return tuple(each for each in self._linked if each != peer_id)

    def link_up(
        self, peer_id: AgentId, instance: Instance, known: Instance | None, rtt_s: float, now: float
    ) -> bool:
        """A link to this run of ``peer_id`` is up, the first or in place of another.

        Args:
            peer_id: who it leads to.
            instance: that runs now.
            known: the one that its record tells of, if there is a record.
            rtt_s: seconds of the first round trip.
            now: monotonic seconds.
        """
        self._linked.add(peer_id)
        self._flood.peer_up(peer_id)
        self._pages.peer_up(peer_id)
        self._originator.somebody_listens()
        if known in (None, instance):
            self._unheard.pop(peer_id, None)
            return self._originator.link_up(peer_id, rtt_s, now)
        self._unheard[peer_id] = instance, rtt_s
        return self._originator.link_down(peer_id, now)

    def link_down(self, peer_id: AgentId, now: float) -> bool:
        """The link to ``peer_id`` is gone, or about to be closed."""
        self._linked.discard(peer_id)
        self._unheard.pop(peer_id, None)
        self._answers.peer_down(peer_id)
        self._flood.peer_down(peer_id)
        self._pages.peer_down(peer_id)
        return self._originator.link_down(peer_id, now)

    def link_measured(self, peer_id: AgentId, rtt_s: float, now: float) -> bool:
        """A round trip to ``peer_id`` took ``rtt_s`` seconds."""
        if peer_id in self._unheard:
            self._unheard[peer_id] = self._unheard[peer_id][0], rtt_s
            return False
        return self._originator.link_measured(peer_id, rtt_s, now)

    def heard(self, record: Record, now: float) -> bool:
        """Tell of the link to a restarted peer if this is its present record."""
        instance, rtt_s = self._unheard.get(record.agent_id, (None, 0.0))
        if record.instance != instance:
            return False
        del self._unheard[record.agent_id]
        return self._originator.link_up(record.agent_id, rtt_s, now)
