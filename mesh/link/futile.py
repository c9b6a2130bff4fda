"""Handshakes that come to nothing: who pays for them.

Each handshake costs the responder up to a millisecond before it knows who is there. So each is paid for in
advance, and one that becomes a link is free: its payer gets back what it has paid. Three may pay, in turn:

- the agent whose ticket is shown (:mod:`mesh.link.tickets`): what others do at its address is no matter then;
- the address, for whoever has no ticket, such as an agent that has just started;
- all addresses together, from what the processor can spare. So a newcomer whose neighbours use up what their
  address has gets in after some tries, as long as they are not many times faster than that.
"""

from typing import Final, TypeAlias

from mesh.link.arrivals import ADMISSION_BURST, ADMISSION_RATE
from mesh.link.tickets import Tickets
from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

FUTILE_RATE: Final = 20.0
"""Handshakes a second that come to no link, by bucket of addresses: each costs 0.6 ms or more."""

FUTILE_BURST: Final = 2_000.0
"""At once: many agents behind one address, all of which have been restarted with an old certificate."""

SPARE_RATE: Final = 100.0
"""Handshakes a second beyond that, of all addresses together: 7 % of a core, or 16 if members go through to
the end of all. An agent that has just started, and dials eight times a second, is in within a
second or two beside 1,000 others."""

SPARE_BURST: Final = 100.0
"""At once."""

Payer: TypeAlias = AgentId | str
"""An agent, a bucket of addresses, or all together."""

EVERYBODY: Final = ""


class FutileHandshakes:
    """What handshakes may still cost at one acceptor; ``now`` is monotonic seconds.

    Args:
        rate, burst: of each bucket of addresses, see ``FUTILE_RATE``.
        spare_rate, spare_burst: of all together, see ``SPARE_RATE``.
    """

    __slots__ = ("_addresses", "_agents", "_spare", "_tickets")

    def __init__(
        self,
        *,
        rate: float = FUTILE_RATE,
        burst: float = FUTILE_BURST,
        spare_rate: float = SPARE_RATE,
        spare_burst: float = SPARE_BURST,
    ) -> None:
        self._tickets = Tickets()
        self._agents: Remembered[AgentId, TokenBucket] = Remembered(
            lambda: TokenBucket(ADMISSION_RATE, ADMISSION_BURST)
        )
        self._addresses: Remembered[str, TokenBucket] = Remembered(lambda: TokenBucket(rate, burst))
        self._spare = TokenBucket(spare_rate, spare_burst)

    def pay(self, ticket: bytes, bucket: str, now: float) -> Payer | None:
        """Who pays for a handshake that begins; nobody if it is not to begin.

        Args:
            ticket: that the initiator shows; empty, or of nobody, if it has none.
            bucket: of :func:`mesh.link.places.bucket_of`, where it comes from.
            now: monotonic seconds.
        """
        agent_id = self._tickets.owner(ticket)
        if agent_id is not None and self._agents.of(agent_id, now).take(now):
            return agent_id
        if self._addresses.of(bucket, now).take(now):
            return bucket
        return EVERYBODY if self._spare.take(now) else None

    def admitted(self, payer: Payer, agent_id: AgentId, ticket: bytes, now: float) -> None:
        """What ``payer`` paid for has become a link of ``agent_id``, and has left ``ticket``."""
        self._tickets.renew(agent_id, ticket)
        self._bucket(payer, now).give_back()

    def _bucket(self, payer: Payer, now: float) -> TokenBucket:
        if not isinstance(payer, str):
            return self._agents.of(payer, now)
        return self._addresses.of(payer, now) if payer else self._spare
