"""In which order a new connection tries the agents that offer its key.

The nearest first: fewest hops, then the lowest step of round-trip time; equals take turns. A candidate that
failed is set aside for a while, longer each time it fails again. Set aside means last, not gone: when all
have failed they are still tried, and the first one that serves stands in its old place again.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from mesh.backoff import retry_delay_s
from mesh.connection.candidate_ranking import Ranking, Standing
from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.connection.reject_codes import IngressVerdict, RejectCode
from mesh.trust.identity import AgentId

FIRST_SET_ASIDE_S: Final = 2.0
"""Span of the first time: a service that is restarted is back within some seconds."""

MAX_SET_ASIDE_S: Final = 30.0
"""Longest span, after which one connection finds out whether the candidate is back."""

TRIAL_S: Final = 2.0
"""One connection tries a candidate that was set aside; others do so again after this time, if they have heard
nothing of it. A silent candidate has been reported by then, unless the path to it takes a second."""

PERMANENT_CODES: Final = frozenset(
    {RejectCode.NOT_PERMITTED, IngressVerdict.UNUSABLE_KEY, IngressVerdict.NOT_BELIEVED}
)
"""Failures that would only be repeated if the candidate were tried again soon."""

MAX_CANDIDATES: Final = 16
"""That a connection is given at once, the nearest; one that has tried them all asks for more."""

LOOP_ASIDE_S: Final = 5.0
"""How long an exit that leads back to this agent is not tried at all. The next round of the circle is already
on its way when the first is found."""


class SetAside(NamedTuple):
    """A candidate that has failed and has not served since, for people; times are monotonic seconds."""

    agent_id: AgentId
    code: str
    """Of its latest failure."""
    since_s: float
    """When it failed first."""
    until_s: float
    """When it is tried again, though others may serve."""


@dataclass(slots=True)
class _Failing:
    """A candidate that has not served since it failed."""

    failures: int
    aside_until: float
    code: str
    since: float
    is_on_trial: bool = False
    """Its time was over and one connection tries it; until that is known it stays aside for others."""


class CandidatePool:
    """What a listener knows of the agents that offer its key; ``now`` is monotonic seconds."""

    __slots__ = (
        "_by_id",
        "_failing",
        "_is_ranked",
        "_last_turn",
        "_looping",
        "_ranking",
        "_turns",
        "offers",
    )

    def __init__(self) -> None:
        self.offers: tuple[Offer, ...] = ()
        """Who offers the key."""
        self._failing: dict[AgentId, _Failing] = {}
        self._looping: dict[AgentId, float] = {}
        """Who leads back to this agent, and until when it is left alone."""
        self._turns: dict[AgentId, int] = {}
        """When each was last put first, counted in connections."""
        self._last_turn = 0
        self._by_id: dict[AgentId, Offer] = {}
        self._ranking = Ranking((), self._standing_of, 0.0)
        self._is_ranked = True
        """Whether the ranking is that of the offers: it is made when a connection needs it."""

    def name_of(self, agent_id: AgentId) -> str:
        """The display name of one that offers the key; nothing for any other."""
        offer = self._by_id.get(agent_id)
        return "" if offer is None else offer.name

    def update(self, offers: Iterable[Offer], now: float) -> None:
        """Take note of who offers the key from now on.

        One that comes back while it is set aside stays so: a link that flaps must not make it good.
        """
        self.offers = tuple(offers)
        self._by_id = offered = {offer.party.id: offer for offer in self.offers}
        self._is_ranked = False
        self._turns = {agent_id: turn for agent_id, turn in self._turns.items() if agent_id in offered}
        self._failing = {
            agent_id: failing
            for agent_id, failing in self._failing.items()
            if agent_id in offered or now < failing.aside_until
        }
        self._looping = {agent_id: until for agent_id, until in self._looping.items() if now < until}

    def order(
        self, now: float, draw: float, tried: Collection[Party] = (), *, prepared: Party | None = None
    ) -> tuple[Offer, ...]:
        """Candidates for one connection, the one to try first at the front, without those that loop.

        Among equals the one goes first that has waited longest; those set aside follow all others, the one
        whose time ends first before the rest. There are ``MAX_CANDIDATES`` at the most.

        Args:
            now: monotonic seconds.
            draw: uniform in [0, 1): chooses who comes first among equals that never had a turn. Without it
                all listeners of a mesh would begin with the same agent.
            tried: candidates to leave out.
            prepared: comes first among such equals instead of the one drawn: a connection to it is prepared.
        """
        offers = self._first(MAX_CANDIDATES, now, draw, tried, prepared)
        if offers:
            self._put_first(offers[0].party.id, now)
        return offers

    def next(self, now: float, draw: float) -> Offer | None:
        """Whom the next connection would try first, as things stand; it does not have its turn yet."""
        offers = self._first(1, now, draw, (), None)
        return offers[0] if offers else None

    def _first(
        self, count: int, now: float, draw: float, tried: Collection[Party], prepared: Party | None
    ) -> tuple[Offer, ...]:
        if len(self.offers) < 2 and not tried and not self._looping:
            return self.offers  # most keys are offered by one agent
        if not self._is_ranked:
            self._ranking = Ranking(self.offers, self._standing_of, now)
            self._is_ranked = True
        begin_at = None if prepared is None else self._ranking.position_of(prepared)
        if begin_at is None:
            begin_at = int(draw * len(self.offers))
        return self._ranking.first(count, now, tried, begin_at=begin_at)

    def _standing_of(self, agent_id: AgentId) -> Standing:
        failing = self._failing.get(agent_id)
        return Standing(
            turn=self._turns.get(agent_id, 0),
            aside_until=0.0 if failing is None else failing.aside_until,
            alone_until=self._looping.get(agent_id, 0.0),
        )

    def _stands_otherwise(self, agent_id: AgentId) -> None:
        if self._is_ranked:
            self._ranking.moved(agent_id)

    def failed(self, agent_id: AgentId, code: str, now: float, draw: float) -> float | None:
        """Set a candidate aside.

        Args:
            agent_id: who failed.
            code: why: the code of its REJECT, or the ingress's own.
            now: monotonic seconds.
            draw: uniform in [0, 1), for jitter.

        Returns:
            For how many seconds; ``None`` if it is aside already: connections that were opening at the same
            time report one failure.
        """
        if code == IngressVerdict.LOOP:
            is_known = now < self._looping.get(agent_id, 0.0)
            self._looping[agent_id] = now + LOOP_ASIDE_S
            self._stands_otherwise(agent_id)
            return None if is_known else LOOP_ASIDE_S
        failing = self._failing.get(agent_id)
        if failing is not None and now < failing.aside_until and not failing.is_on_trial:
            return None
        failures = failing.failures + 1 if failing is not None else 1
        aside_s = MAX_SET_ASIDE_S
        if code not in PERMANENT_CODES:
            aside_s = retry_delay_s(failures - 1, draw, first_s=FIRST_SET_ASIDE_S, cap_s=MAX_SET_ASIDE_S)
        since = failing.since if failing is not None else now
        self._failing[agent_id] = _Failing(failures, now + aside_s, code, since)
        self._stands_otherwise(agent_id)
        return aside_s

    def set_aside(self) -> Iterator[SetAside]:
        """Who offers the key, has failed, and has not served since; the first that failed comes first."""
        for agent_id, failing in self._failing.items():
            if agent_id in self._by_id:
                yield SetAside(agent_id, failing.code, failing.since, failing.aside_until)

    def served(self, agent_id: AgentId) -> bool:
        """Put a candidate that accepted in its old place again; return whether it had failed before."""
        if self._failing.pop(agent_id, None) is None:
            return False
        self._stands_otherwise(agent_id)
        return True

    def _put_first(self, agent_id: AgentId, now: float) -> None:
        self._last_turn += 1
        self._turns[agent_id] = self._last_turn
        failing = self._failing.get(agent_id)
        if failing is not None and failing.aside_until <= now:
            failing.is_on_trial = True
            failing.aside_until = now + TRIAL_S
        if len(self.offers) > 1:
            self._stands_otherwise(agent_id)
