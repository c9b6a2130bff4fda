"""What must be so while policies change: nothing forbidden is carried, and nobody is known who is refused."""

from collections.abc import Iterator
from typing import Final

from actors.connections.connection_end import ConnectionEnd
from actors.links.peer_link import PeerLink
from actors.meters import Meters
from actors.runtime.virtual.links import RETRANSMISSION_S
from mesh.link.states import SILENT
from scripts.simulation.conversation import Conversation, Heard
from scripts.simulation.invariants import InvariantError
from scripts.simulation.policies.knowledge import IN_TIME_S
from scripts.simulation.policies.stage import PolicyStage

LOOK_S: Final = 0.1
"""Between two looks."""

ARRIVES_S: Final = 20.0
"""What a client has said before its end comes to the service by then, if it does."""

LINKED_S: Final = 0.1
"""From when both ends have a link until what each has for the other is under way."""


def serves(link: PeerLink) -> bool:
    """Whether a link takes or sends anything.

    One that has said why it is closed does neither, and drops what comes: it keeps its socket until the other
    end has closed, too, for a second at most. Over a way that is cut it takes that second.
    """
    return link._link.state not in SILENT


class PolicyWatch:
    """Looks at what is carried, and at whom agents know.

    Args:
        stage: where policies change.
    """

    def __init__(self, stage: PolicyStage) -> None:
        self._stage, self._mesh, self._law = stage, stage.mesh, stage.law
        self._since: dict[tuple[str, ...], float] = {}
        """By what must not be: since when it has been so, without a break."""
        self._links_since: dict[tuple[str, str], tuple[tuple[str, ...], float]] = {}
        """By two agents: the actors of their link, and since when it is up."""
        self._forwarded: dict[str, tuple[Meters, int, float]] = {}
        """By agent: what its process counts, how many frames it had passed on at the last look, and when."""
        self._open: list[Conversation] = []
        """Conversations that have begun, or will, and were not over at the last look."""
        self._seen = 0
        """How many conversations there were by then."""
        layout = stage.script.map
        self._triples = [
            (key, ingress, exit_)
            for key, exits in layout.endpoints.items()
            for ingress in layout.listeners[key]
            for exit_ in exits
        ]
        self._ids = {stage.mesh.id_of(name): name for name in stage.script.map.names}

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: something is carried, or known, that was to end more than a second ago.
        """
        now = self._mesh.world.now()
        self._stage.knowledge.look(now, self._stage.active, self.links())
        self._judge_bytes(now)
        self._judge_agents(now)
        self._judge_relays(now)

    # -- links -----------------------------------------------------------------------------------------------

    def links(self) -> dict[str, dict[str, float]]:
        """Of each agent the links that are up and carry, and since when."""
        now = self._mesh.world.now()
        up: dict[str, dict[str, tuple[str, ...]]] = {}
        for name in self._stage.active:
            up[name] = {}
            for link in self._reported(name):
                peer = self._ids.get(link._link.peer.peer_id)
                if peer is not None:
                    up[name][peer] = (*up[name].get(peer, ()), link.actor_urn)
        found: dict[str, dict[str, float]] = {}
        for one, peers in up.items():
            for other, urns in peers.items():
                if one in up.get(other, {}) and self._carries(one, other):
                    actors = tuple(sorted((*urns, *up[other][one])))
                    before = self._links_since.get((one, other), ((), 0.0))
                    since = before[1] if before[0] == actors else now + LINKED_S
                    self._links_since[one, other] = actors, since
                    found.setdefault(one, {})[other] = since
                else:
                    self._links_since.pop((one, other), None)
        for pair in [pair for pair in self._links_since if pair[1] not in found.get(pair[0], {})]:
            del self._links_since[pair]
        return found

    def _reported(self, name: str) -> Iterator[PeerLink]:
        return (link for link in self._mesh.actors_on(name, PeerLink) if link._is_reported)

    def _carries(self, one: str, other: str) -> bool:
        network = self._mesh.network
        hosts = network.host(one), network.host(other)
        ways = (network.link(*hosts), network.link(*hosts[::-1]))
        healed = self._stage.touched_at.get(frozenset((one, other)), -RETRANSMISSION_S)
        is_recovering = self._mesh.world.now() < healed + 2 * RETRANSMISSION_S
        return not is_recovering and not any(way.is_cut or way.refusing for way in ways)

    # -- bytes -----------------------------------------------------------------------------------------------

    def _judge_bytes(self, now: float) -> None:
        at_exit: dict[tuple[str, str, str], float | None] = {}
        at_ingress: dict[tuple[str, str, str], float | None] = {}
        law = self._law
        for key, ingress, exit_ in self._triples:
            forbids = law.exit_forbids(exit_, ingress, key, now)
            at_exit[exit_, ingress, key] = self._lasts(("exit", exit_, ingress, key), exit_, forbids, now)
            forbids = law.ingress_forbids(ingress, exit_, key, now)
            what = ("ingress", ingress, exit_, key)
            at_ingress[ingress, exit_, key] = self._lasts(what, ingress, forbids, now)
        for conversation in self._under_way():
            served = self._mesh.records.get(conversation.terms.number)
            if served is None:
                continue
            key, ingress = self._stage.place_of(conversation.terms.number)
            exit_ = served.host.removeprefix(f"{key}.")
            terms = conversation.terms
            where = f"{key} at {exit_} from {ingress}: {terms}"
            self._judge(served, at_exit[exit_, ingress, key], where)
            where = f"{key} from {exit_} at {ingress}: {terms}"
            self._judge(conversation.heard, at_ingress[ingress, exit_, key], where)

    def _under_way(self) -> list[Conversation]:
        """Conversations that somebody may hear more of, or has since the last look."""
        conversations = self._mesh.conversations
        self._open += conversations[self._seen :]
        self._seen = len(conversations)
        found, self._open = self._open, [each for each in self._open if not self._is_over_at_both(each)]
        return found

    def _is_over_at_both(self, conversation: Conversation) -> bool:
        served, heard = self._mesh.records.get(conversation.terms.number), conversation.heard
        if served is None:  # what a client has said may arrive behind its end
            return heard.is_over and self._mesh.world.now() > heard.finished_at + ARRIVES_S
        return heard.is_over and served.is_over

    def _lasts(self, what: tuple[str, ...], where: str, is_so: bool, now: float) -> float | None:
        """Since when something is so, as far as its agent can act upon it; ``None`` if it is not."""
        active_since = self._stage.active.get(where)
        if active_since is None or not is_so:
            self._since.pop(what, None)
            return None
        since = self._since.setdefault(what, now)
        return max(since, active_since)

    @staticmethod
    def _judge(heard: Heard, forbidden_since: float | None, where: str) -> None:
        if forbidden_since is not None and heard.heard_at > forbidden_since + IN_TIME_S:
            times = f"bytes came at {heard.heard_at:.2f} s, forbidden since {forbidden_since:.2f} s"
            raise InvariantError("nothing forbidden is carried", f"{times}: {where}")

    # -- agents ----------------------------------------------------------------------------------------------

    def _judge_agents(self, now: float) -> None:
        """Whom an agent refuses, it is not linked to, knows no record and no way of, and serves not."""
        names = self._stage.script.map.names
        for judge in self._stage.active:
            refused = {
                self._mesh.id_of(other): other
                for other in names
                if other != judge
                and self._is_over(("refused", judge, other), judge, self._law.refuses(judge, other, now), now)
            }
            routes = self._mesh.routes(judge)
            if not refused or routes is None:
                continue
            for link in filter(serves, self._reported(judge)):
                self._expect_none(refused.get(link._link.peer.peer_id), judge, "is linked to")
            for agent_id, other in refused.items():
                if agent_id in routes.records:
                    self._expect_none(other, judge, "has a record of")
                if agent_id in routes.next_hops:
                    self._expect_none(other, judge, "has a way to")
            for end in self._mesh.actors_on(judge, ConnectionEnd):
                if end._remote is not None and not end._done:
                    self._expect_none(refused.get(end._remote), judge, "has a connection with")

    def _is_over(self, what: tuple[str, ...], judge: str, is_so: bool, now: float) -> bool:
        """Whether something has been so for longer than it may be."""
        since = self._lasts(what, judge, is_so, now)
        return since is not None and now > since + IN_TIME_S

    @staticmethod
    def _expect_none(other: str | None, judge: str, what: str) -> None:
        if other is not None:
            text = f"{judge} {what} {other}, whom it has refused for more than a second"
            raise InvariantError("who is refused takes no part", text)

    # -- relays ----------------------------------------------------------------------------------------------

    def _judge_relays(self, now: float) -> None:
        """Nobody leads anything through an agent that may not relay, nor does that agent pass it on."""
        names = self._stage.script.map.names
        for judge in self._stage.active:
            routes = self._mesh.routes(judge)
            for other in names:
                if other == judge or routes is None:
                    continue
                if self._is_over(("relays", judge, other), judge, self._law.may_not_relay(judge, other), now):
                    hop = self._mesh.id_of(other)
                    if any(via == hop != to for to, via in routes.next_hops.items()):
                        text = f"{judge} leads others' traffic through {other}, which may not relay"
                        raise InvariantError("nothing forbidden is carried", text)
            self._judge_passing_on(judge, now)

    def _judge_passing_on(self, judge: str, now: float) -> None:
        meters = self._mesh.plans[judge].meters
        of, count, at = self._forwarded.get(judge, (meters, 0, now))
        self._forwarded[judge] = meters, meters.frames_forwarded, now
        since = self._lasts(("passes on", judge), judge, self._law.may_not_relay(judge, judge), now)
        is_over = of is meters and since is not None and at > since + IN_TIME_S
        if is_over and meters.frames_forwarded > count:
            text = f"{judge} passes on frames, and may not relay"
            raise InvariantError("nothing forbidden is carried", text)
