"""Which OPENs an exit looks at: how many at one time and how many a second, by link and by ingress.

To look at an OPEN costs an actor and a Diffie-Hellman; to send one costs next to nothing, and a peer that
relays may write any source into it. Who sent it is known only afterwards, but the peer that it came from is
certain. Links are limited first, and on each link its sources: what one link carries in the name of an agent
takes nothing from what that agent sends by another.

An OPEN takes a token of its link and one of its source there. Both are given back when the connection is in
use, so those who are served may open as many as the exit can; what is forged, refused or never confirmed is
rationed, and with it the answers. Half of what a link has is kept for sources that ask little: so a flood in
a few names, or in a few dozen, leaves the others of that link their connections.
"""

import enum
from typing import Final, NamedTuple

from mesh.connection.shares import Shares
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

LINK_RATE: Final = 500.0
"""OPENs a second that come to nothing, on one link: some 10 % of a core."""

LINK_BURST: Final = 2_000.0
"""At once: the clients of several agents behind it, after an outage."""

INGRESS_RATE: Final = 250.0
"""OPENs a second that come to nothing, of one ingress on one link."""

INGRESS_BURST: Final = 1_000.0
"""At once."""

LINK_RESERVE: Final = LINK_BURST / 2
"""Of a link's tokens, for sources that ask little."""

LITTLE_RATE: Final = 5.0
"""OPENs a second that come to nothing, of one ingress on one link, that are few: a hundred ingresses use up
what their link has."""

LITTLE_BURST: Final = 10.0
"""At once: a hundred ingresses use up what is kept for them."""

MAX_BUCKETS: Final = 4_096
"""Ingresses, and links, whose rate is remembered; beyond, the first is forgotten."""

TOLD_RATE: Final = 1.0
"""Lines about one link a second that are written, or counted as repetitions; more would cost more than the
OPENs that they are about."""

TOLD_BURST: Final = 5.0


class Refusal(enum.StrEnum):
    """Why an OPEN is not looked at."""

    PENDING = "too many connections are being opened"
    RATE = "too many requests for connections come to nothing"


class _Link(NamedTuple):
    rate: TokenBucket
    told: TokenBucket


class _Source(NamedTuple):
    rate: TokenBucket
    little: TokenBucket
    """How much it may yet ask of what is kept for those that ask little."""


class OpenAdmission:
    """Counts the OPENs under way; ``now`` is monotonic seconds, ``via`` the peer that one came from.

    Args:
        max_pending: OPENs that may be under way at one time.
    """

    __slots__ = ("_by_ingress", "_by_link", "_links", "_pending", "_rates")

    def __init__(self, max_pending: int) -> None:
        self._pending: dict[tuple[AgentId, int], AgentId] = {}
        """By source and number: the peer that it came from."""
        self._by_link: Shares[AgentId] = Shares(max_pending)
        self._by_ingress: Shares[tuple[AgentId, AgentId]] = Shares(max_pending)
        self._links: dict[AgentId, _Link] = {}
        self._rates: dict[tuple[AgentId, AgentId], _Source] = {}

    def limit(self, max_pending: int) -> None:
        """So many may be under way at one time from now on; those that are stay."""
        self._by_link.limit = self._by_ingress.limit = max_pending

    def __len__(self) -> int:
        return len(self._pending)

    def admit(self, source: AgentId, number: int, via: AgentId, now: float) -> Refusal | None:
        """Count an OPEN as under way, or say why it is not to be looked at."""
        pair = via, source
        if not self._by_link.try_take(via):
            return Refusal.PENDING
        if not self._by_ingress.try_take(pair):
            self._by_link.leave(via)
            return Refusal.PENDING
        if not self._take_tokens(pair, now):
            self._by_link.leave(via)
            self._by_ingress.leave(pair)
            return Refusal.RATE
        self._pending[source, number] = via
        return None

    def _take_tokens(self, pair: tuple[AgentId, AgentId], now: float) -> bool:
        """Take what an OPEN costs its link and its source; whether they have it."""
        of_source = self._rates.get(pair)
        if of_source is None:
            if len(self._rates) >= MAX_BUCKETS:
                del self._rates[next(iter(self._rates))]
            of_source = self._rates[pair] = _Source(
                TokenBucket(INGRESS_RATE, INGRESS_BURST), TokenBucket(LITTLE_RATE, LITTLE_BURST)
            )
        if not of_source.rate.take(now):
            return False
        of_link = (self._links.get(pair[0]) or self._new_link(pair[0])).rate
        if of_link.take(now, keep=LINK_RESERVE):
            return True
        if of_link.has(now) and of_source.little.take(now):
            of_link.spend(now)
            return True
        of_source.rate.give_back()
        return False

    def via_of(self, source: AgentId, number: int, default: AgentId) -> AgentId:
        """The peer that this OPEN, which is under way, came from; else ``default``."""
        return self._pending.get((source, number), default)

    def settled(self, source: AgentId, number: int, *, is_in_use: bool) -> None:
        """This OPEN is no longer under way; ``is_in_use`` says that its ingress has confirmed. Idempotent."""
        via = self._pending.pop((source, number), None)
        if via is None:
            return
        pair = via, source
        self._by_link.leave(via)
        self._by_ingress.leave(pair)
        if is_in_use:
            of_link = self._links.get(via)
            if of_link is not None:
                of_link.rate.give_back()
            of_source = self._rates.get(pair)
            if of_source is not None:
                of_source.rate.give_back()
                of_source.little.give_back()

    def is_to_be_told(self, via: AgentId, now: float) -> bool:
        """Whether a refusal on this link is to be written down, beside being counted."""
        return (self._links.get(via) or self._new_link(via)).told.take(now)

    def _new_link(self, via: AgentId) -> _Link:
        if len(self._links) >= MAX_BUCKETS:
            del self._links[next(iter(self._links))]
        link = _Link(TokenBucket(LINK_RATE, LINK_BURST), TokenBucket(TOLD_RATE, TOLD_BURST))
        self._links[via] = link
        return link
