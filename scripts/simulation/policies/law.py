"""Who may do what in a simulated mesh, by what its operators have done: no code of the product has a say.

Nobody knows everything at once. What an agent is certain to know, others work out (``knowledge.py``); it may
know more. So a question has two answers here: whether something is refused by all that an agent may know, and
whether it may be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

NOTHING_KNOWN: Final = -1
"""Stands for the number of a certificate or a list where an agent may know none."""

GROUP: Final = "group:"
NOBODY: Final[frozenset[str]] = frozenset()


class Grant(msgspec.Struct, frozen=True):
    """What one certificate says. Times are seconds since the world's start, by a clock that is right."""

    agent: str
    name: str
    use: tuple[str, ...]
    """Patterns; see :func:`means`."""
    register: tuple[str, ...]
    groups: tuple[str, ...]
    relays: bool
    authority: str
    issuer: str
    """The agent that has signed it, empty if the authority has."""
    ends_at: float


class Listing(msgspec.Struct, frozen=True):
    """What one revocation list says."""

    authority: str
    """That has signed it, or has certified the issuer that did."""
    revoked: frozenset[str]


@dataclass
class Known:
    """The oldest that an agent may hold; numbers are places in what :class:`Law` keeps."""

    grants: dict[str, int] = field(default_factory=dict)
    """By agent."""
    lists: dict[str, int] = field(default_factory=dict)
    """By signer."""

    def grant(self, agent: str) -> int:
        """Of an agent."""
        return self.grants.get(agent, NOTHING_KNOWN)

    def listing(self, signer: str) -> int:
        """Of a signer."""
        return self.lists.get(signer, NOTHING_KNOWN)


class Law:
    """All that operators have done, and what follows from it.

    Args:
        grants: of each agent the first certificate.
        ids: of each agent, as people write it.
        issuers: agents that may sign others' certificates.
    """

    def __init__(self, grants: Mapping[str, Grant], ids: Mapping[str, str], issuers: Sequence[str]) -> None:
        self.issuers = issuers
        self.grants = {name: [grant] for name, grant in grants.items()}
        """Of each agent, in the order in which it got them."""
        self.lists: dict[str, list[Listing]] = {}
        """Of each signer, an authority or an issuer, in the order of their numbers."""
        self.trust: dict[str, frozenset[str]] = {
            name: frozenset({grant.authority}) for name, grant in grants.items()
        }
        """Whom each agent believes."""
        self.allowed: dict[tuple[str, str], frozenset[str]] = {}
        """By key and exit: whom the endpoint's ``allow:`` names."""
        self.believed: dict[tuple[str, str], frozenset[str]] = {}
        """By key and ingress: whom the listener's ``agents:`` names."""
        self.known = {name: Known() for name in grants}
        self.clocks = dict.fromkeys(grants, (0.0, 0.0))
        """How far each clock is ahead: least and most since its agent was started."""
        self._ids = ids

    def newest(self, agent: str) -> Grant:
        """What an agent has now."""
        return self.grants[agent][-1]

    # -- who is refused --------------------------------------------------------------------------------------

    def refuses(self, judge: str, other: str, now: float) -> bool:
        """Whether ``judge`` refuses ``other``, whatever it may know."""
        return all(self._refuses(judge, grant, now) for grant in self._possible(judge, other))

    def may_refuse(self, judge: str, grant: Grant, now: float) -> bool:
        """Whether ``judge`` may refuse this certificate, by something that it may know."""
        return now + self.clocks[judge][1] >= grant.ends_at or self.may_reject(judge, grant)

    def may_reject(self, judge: str, grant: Grant) -> bool:
        """Likewise, but for the time: whether it may be revoked, or by an authority that is not believed."""
        return grant.authority not in self.trust[judge] or any(self._revoking(judge, grant, every=False))

    def may_refuse_list(self, judge: str, signer: str, authority: str) -> bool:
        """Whether ``judge`` may refuse the lists of a signer."""
        return authority not in self.trust[judge] or (
            signer in self.issuers and any(self._names(judge, signer, every=False))
        )

    def _possible(self, judge: str, other: str) -> Sequence[Grant]:
        return self.grants[other][max(0, self.known[judge].grant(other)) :]

    def _refuses(self, judge: str, grant: Grant, now: float) -> bool:
        return (
            grant.authority not in self.trust[judge]
            or now + self.clocks[judge][0] >= grant.ends_at
            or any(self._revoking(judge, grant, every=True))
        )

    def _revoking(self, judge: str, grant: Grant, *, every: bool) -> Iterator[bool]:
        """Whether lists revoke the agent of a certificate, or its issuer, signer by signer."""
        yield from self._names(judge, grant.agent, every=every)
        if grant.issuer:
            yield from self._names(judge, grant.issuer, every=every)
            yield self._has(judge, grant.issuer, grant.agent, every=every)

    def _names(self, judge: str, agent: str, *, every: bool) -> Iterator[bool]:
        """Whether each authority's lists name an agent."""
        for authority in sorted(self.trust[judge]):
            yield self._has(judge, authority, agent, every=every)

    def _has(self, judge: str, signer: str, agent: str, *, every: bool) -> bool:
        """Whether all lists of a signer that ``judge`` may hold name an agent, or whether any does.

        A list that has taken another's place, and whose authority is believed no more, names nobody.
        """
        oldest = self.known[judge].listing(signer)
        possible = [
            each.authority in self.trust[judge] and agent in each.revoked
            for each in self.lists.get(signer, ())[max(0, oldest) :]
        ]
        if not every:
            return any(possible)
        return oldest != NOTHING_KNOWN and bool(possible) and all(possible)

    # -- who may use, and be believed ------------------------------------------------------------------------

    def exit_forbids(self, exit_: str, ingress: str, key: str, now: float) -> bool:
        """Whether an exit must not serve an ingress, whatever it may know."""
        allowed = self.allowed.get((key, exit_), NOBODY)
        return all(
            not (means(grant.use, key) and self._is_named(allowed, grant))
            or (exit_ != ingress and self._refuses(exit_, grant, now))
            for grant in self._seen(exit_, ingress)
        )

    def ingress_forbids(self, ingress: str, exit_: str, key: str, now: float) -> bool:
        """Whether an ingress must not be served by an exit, whatever it may know."""
        believed = self.believed.get((key, ingress), NOBODY)
        return all(
            not (means(grant.register, key) and self._is_named(believed, grant))
            or (exit_ != ingress and self._refuses(ingress, grant, now))
            for grant in self._seen(ingress, exit_)
        )

    def _seen(self, judge: str, other: str) -> Sequence[Grant]:
        return self.grants[other][-1:] if judge == other else self._possible(judge, other)

    def _is_named(self, listed: frozenset[str], grant: Grant) -> bool:
        means_it = {grant.name, self._ids[grant.agent], *(GROUP + group for group in grant.groups)}
        return not listed or bool(listed & means_it)

    def may_not_relay(self, judge: str, other: str) -> bool:
        """Whether nothing may pass through ``other``, whatever ``judge`` may know."""
        return not any(grant.relays for grant in self._seen(judge, other))

    # -- what works ------------------------------------------------------------------------------------------

    def opens(self, ingress: str, exit_: str, key: str) -> bool:
        """Whether both ends let a connection be, by what both have now."""
        using, offering = self.newest(ingress), self.newest(exit_)
        return (
            means(using.use, key)
            and means(offering.register, key)
            and self._is_named(self.allowed.get((key, exit_), NOBODY), using)
            and self._is_named(self.believed.get((key, ingress), NOBODY), offering)
        )

    def lets_in(self, judge: str, other: str, until: float) -> bool:
        """Whether ``judge`` lets in ``other``, and will, once it has heard of everything."""
        grant, trusted = self.newest(other), self.trust[judge]
        newest = {signer: lists[-1] for signer, lists in self.lists.items() if lists[-1].authority in trusted}
        revoked = {
            agent for authority in trusted if authority in newest for agent in newest[authority].revoked
        }
        return (
            grant.authority in trusted
            and until + self.clocks[judge][1] < grant.ends_at
            and revoked.isdisjoint({other, grant.issuer})
            and not (grant.issuer in newest and other in newest[grant.issuer].revoked)
        )

    def is_up_to_date(self, judge: str, other: str) -> bool:
        """Whether ``judge`` is certain to know what ``other`` has now."""
        return judge == other or self.known[judge].grant(other) == len(self.grants[other]) - 1


PATTERNS: Final[Mapping[str, frozenset[str]]] = {
    "*": frozenset({"my-api", "logs"}),
    "my-*": frozenset({"my-api"}),
    "????": frozenset({"logs"}),
    "my-api": frozenset({"my-api"}),
    "other-*": frozenset(),
}
"""The patterns that certificates have, and the keys that each means."""


def means(patterns: Sequence[str], key: str) -> bool:
    """Whether one of these patterns means a key."""
    return any(key in PATTERNS[pattern] for pattern in patterns)
