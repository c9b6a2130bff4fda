"""In which order a new connection tries the agents that offer its key.

The nearest first: fewest hops, then the lowest step of round-trip time; equals take turns. A candidate that
failed is set aside for a while, longer each time it fails again. Set aside means last, not gone: when all
have failed they are still tried, and the first one that serves stands in its old place again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mesh.backoff import retry_delay_s
from mesh.connection.reject_codes import IngressVerdict, RejectCode
from mesh.connection.session_handshake import Party
from mesh.rtt_steps import RTT_UNIT_S
from mesh.trust.identity import AgentId

FIRST_SET_ASIDE_S: Final = 2.0
"""Span of the first time: a service that is restarted is back within some seconds."""

MAX_SET_ASIDE_S: Final = 30.0
"""Longest span, after which one connection finds out whether the candidate is back."""

TRIAL_S: Final = 2.0
"""One connection tries a candidate that was set aside; others do so again after this time, if they have heard
nothing of it. A silent candidate has been reported by then, unless the path to it takes a second."""

PERMANENT_CODES: Final = frozenset({RejectCode.NOT_PERMITTED, IngressVerdict.UNUSABLE_KEY})
"""Failures that would only be repeated if the candidate were tried again soon."""

LOOP_ASIDE_S: Final = 5.0
"""How long an exit that leads back to this agent is not tried at all. The next round of the circle is already
on its way when the first is found."""


class Offer(NamedTuple):
    """An agent that offers the key, as the routes tell."""

    party: Party
    is_leaving: bool
    """About to leave: taken only after all others."""
    hop_count: int
    rtt_step: int
    """Round trip of the whole path: 0 up to half a millisecond, one more for each doubling."""
    name: str = ""
    """Display name, from the agent's certificate."""

    @property
    def distance(self) -> tuple[bool, int, int]:
        """What equals have in common; the smaller one is better."""
        return self.is_leaving, self.hop_count, self.rtt_step

    @property
    def rtt_s(self) -> float:
        """Round trip of the whole path, in seconds: the upper end of its step."""
        return RTT_UNIT_S * 2.0**self.rtt_step


@dataclass(slots=True)
class _Failing:
    """A candidate that has not served since it failed."""

    failures: int
    aside_until: float
    is_on_trial: bool = False
    """Its time was over and one connection tries it; until that is known it stays aside for others."""


class CandidatePool:
    """What a listener knows of the agents that offer its key; ``now`` is monotonic seconds."""

    __slots__ = ("_failing", "_last_turn", "_looping", "_offers", "_turns")

    def __init__(self) -> None:
        self._offers: tuple[Offer, ...] = ()
        self._failing: dict[AgentId, _Failing] = {}
        self._looping: dict[AgentId, float] = {}
        """Who leads back to this agent, and until when it is left alone."""
        self._turns: dict[AgentId, int] = {}
        """When each was last put first, counted in connections."""
        self._last_turn = 0

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Who offers the key."""
        return self._offers

    def name_of(self, agent_id: AgentId) -> str:
        """The display name of one that offers the key; nothing for any other."""
        return next((offer.name for offer in self._offers if offer.party.id == agent_id), "")

    def update(self, offers: Iterable[Offer], now: float) -> None:
        """Take note of who offers the key from now on.

        One that comes back while it is set aside stays so: a link that flaps must not make it good.
        """
        self._offers = tuple(offers)
        offered = {offer.party.id for offer in self._offers}
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
        """All candidates for one connection, the one to try first at the front, without those that loop.

        Among equals the one goes first that has waited longest; those set aside follow all others, the one
        whose time ends first before the rest.

        Args:
            now: monotonic seconds.
            draw: uniform in [0, 1): chooses who comes first among equals that never had a turn. Without it
                all listeners of a mesh would begin with the same agent.
            tried: candidates to leave out.
            prepared: comes first among such equals instead of the one drawn: a connection to it is prepared.
        """
        offers = self._not_looping(now)
        if tried:
            offers = tuple(offer for offer in offers if offer.party not in tried)
        if len(offers) > 1:  # most keys are offered by one agent
            ranks = self._ranks(offers, now, draw, prepared)
            offers = tuple(offers[position] for position in sorted(range(len(offers)), key=ranks.__getitem__))
        if offers:
            self._put_first(offers[0].party.id, now)
        return offers

    def next(self, now: float, draw: float) -> Offer | None:
        """Whom the next connection would try first, as things stand; it does not have its turn yet."""
        offers = self._not_looping(now)
        if len(offers) < 2:
            return offers[0] if offers else None
        ranks = self._ranks(offers, now, draw, None)
        return offers[min(range(len(offers)), key=ranks.__getitem__)]

    def _not_looping(self, now: float) -> tuple[Offer, ...]:
        if not self._looping:
            return self._offers
        return tuple(offer for offer in self._offers if now >= self._looping.get(offer.party.id, 0.0))

    def _ranks(
        self, offers: Sequence[Offer], now: float, draw: float, prepared: Party | None
    ) -> list[tuple[float, tuple[bool, int, int], int, int]]:
        """For each offer what sorts it; no two are equal."""
        count = len(offers)
        first = int(draw * count)
        if prepared is not None:
            first = next((at for at, offer in enumerate(offers) if offer.party == prepared), first)

        def rank(position: int) -> tuple[float, tuple[bool, int, int], int, int]:
            offer = offers[position]
            agent_id = offer.party.id
            failing = self._failing.get(agent_id)
            aside_until = failing.aside_until if failing is not None and now < failing.aside_until else 0.0
            return aside_until, offer.distance, self._turns.get(agent_id, 0), (position - first) % count

        return [rank(position) for position in range(count)]

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
            return None if is_known else LOOP_ASIDE_S
        failing = self._failing.get(agent_id)
        if failing is not None and now < failing.aside_until and not failing.is_on_trial:
            return None
        failures = failing.failures + 1 if failing is not None else 1
        aside_s = MAX_SET_ASIDE_S
        if code not in PERMANENT_CODES:
            aside_s = retry_delay_s(failures - 1, draw, first_s=FIRST_SET_ASIDE_S, cap_s=MAX_SET_ASIDE_S)
        self._failing[agent_id] = _Failing(failures, now + aside_s)
        return aside_s

    def served(self, agent_id: AgentId) -> bool:
        """Put a candidate that accepted in its old place again; return whether it had failed before."""
        return self._failing.pop(agent_id, None) is not None

    def _put_first(self, agent_id: AgentId, now: float) -> None:
        self._last_turn += 1
        self._turns[agent_id] = self._last_turn
        failing = self._failing.get(agent_id)
        if failing is not None and failing.aside_until <= now:
            failing.is_on_trial = True
            failing.aside_until = now + TRIAL_S
