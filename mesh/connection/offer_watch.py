"""Whom a listener believes of those that offer its key, and who is told to people because it is new.

Whoever may offer a key by its certificate can come nearer than the one that had it: that is what several
agents for one key are for, and also how a member would take another's clients. So newcomers are told.
"""

from collections.abc import Sequence

import msgspec

from mesh.connection.offer import Offer
from mesh.newcomers import MAX_KNOWN, SETTLING_S
from mesh.trust.identity import AgentId
from mesh.trust.naming import listing


class Judged(msgspec.Struct, frozen=True):
    """What comes of a list of offers."""

    believed: tuple[Offer, ...]
    newcomers: tuple[Offer, ...]
    """Of the believed: those that offer the key for the first time, beside others that had it before."""
    disbelieved: tuple[Offer, ...]
    """Those that are not believed, each once."""


class OfferWatch:
    """What one listener knows of who has ever offered its key; times are monotonic seconds.

    Args:
        believed: names, IDs and groups; with none, all are believed.
        now: when the listener starts.
    """

    __slots__ = ("_believed", "_known", "_settled_at")

    def __init__(self, believed: frozenset[str], now: float) -> None:
        self._believed = believed
        self._known: dict[AgentId, bool] = {}
        """Whether it was believed."""
        self._settled_at = now + SETTLING_S

    def believe(self, believed: frozenset[str]) -> None:
        """Believe these names, IDs and groups from now on; with none, all."""
        self._believed = believed

    def judge(self, offers: Sequence[Offer], now: float) -> Judged:
        """Take note of who offers the key now."""
        believed = (
            tuple(offer for offer in offers if self._believes(offer)) if self._believed else tuple(offers)
        )
        had_it = any(self._known.values())
        newcomers = self._new(believed, is_believed=True)
        ignored = [offer for offer in offers if not self._believes(offer)] if self._believed else []
        disbelieved = self._new(ignored, is_believed=False)
        self._forget(offers)
        # Those in the list are meant to come.
        is_news = had_it and now >= self._settled_at and not self._believed
        return Judged(believed, newcomers if is_news else (), disbelieved)

    def _believes(self, offer: Offer) -> bool:
        return bool(listing(self._believed, offer.name, offer.party.id, offer.groups))

    def _new(self, offers: Sequence[Offer], *, is_believed: bool) -> tuple[Offer, ...]:
        new = tuple(offer for offer in offers if offer.party.id not in self._known)
        self._known |= dict.fromkeys((offer.party.id for offer in new), is_believed)
        return new

    def _forget(self, offers: Sequence[Offer]) -> None:
        """Let go of the oldest of those that offer the key no more: those that do have been told of."""
        beyond = len(self._known) - max(MAX_KNOWN, len(offers))
        if beyond > 0:
            present = {offer.party.id for offer in offers}
            gone = [agent_id for agent_id in self._known if agent_id not in present]
            for agent_id in gone[:beyond]:
                del self._known[agent_id]
