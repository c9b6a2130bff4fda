"""What agents of a simulated mesh are certain to know, by when.

News comes to an agent over links that are up, through agents that believe it themselves. Along the way whose
slowest part came up first, it is there a second after that part came up or the news was told, whichever is
later: then it is certain.
"""

import heapq
from collections.abc import Callable, Mapping
from typing import Final

from scripts.simulation.policies.law import NOTHING_KNOWN, Known, Law

IN_TIME_S: Final = 1.0
"""From a change until it counts everywhere where it can be heard of."""

Links = Mapping[str, Mapping[str, float]]
"""Of each agent: to whom it is linked, and since when."""


class Knowledge:
    """Keeps :attr:`Law.known` up to date; all times are seconds since the world's start.

    Args:
        law: what there is to know.
    """

    def __init__(self, law: Law) -> None:
        self._law = law
        self._told: dict[tuple[str, int], dict[str, float]] = {}
        """By signer and number of a list: who was told it, and when."""
        self._shown: dict[tuple[str, int], float] = {}
        """By agent and number of its certificate: since when it shows it."""
        self._believed: dict[tuple[str, str, int], float] = {}
        """By agent, and whose news of which number: since when it is certain to believe that."""

    def told(self, signer: str, agent: str, now: float) -> None:
        """An agent has been given the newest list of a signer."""
        self._told.setdefault((signer, len(self._law.lists[signer]) - 1), {})[agent] = now

    def shows(self, agent: str, now: float) -> None:
        """An agent has been given its newest certificate, or has been started with it."""
        self._shown[agent, len(self._law.grants[agent]) - 1] = now

    def restarted(self, agent: str) -> None:
        """What an agent knew of others' certificates is lost; lists it has on its disk."""
        self._law.known[agent].grants.clear()
        for place in [place for place in self._believed if place[0] == agent]:
            del self._believed[place]

    def look(self, now: float, active: Mapping[str, float], links: Links) -> None:
        """Work out what is certain by now.

        Args:
            now: the time.
            active: agents that run, and since when.
            links: those that are up.
        """
        self._forget()
        law = self._law
        for signer, lists in law.lists.items():
            number, authority = len(lists) - 1, lists[-1].authority
            sources = {
                name: at for name, at in self._told.get((signer, number), {}).items() if name in active
            }
            self._spread(
                (signer, number),
                lambda known: known.lists,
                lambda name, signer=signer, authority=authority: law.may_refuse_list(name, signer, authority),
                sources=sources,
                now=now,
                active=active,
                links=links,
            )
        for agent, grants in law.grants.items():
            number, grant = len(grants) - 1, grants[-1]
            shown = self._shown.get((agent, number))
            sources = {} if shown is None or agent not in active else {agent: max(shown, active[agent])}
            self._spread(
                (agent, number),
                lambda known: known.grants,
                lambda name, grant=grant: name != grant.agent and law.may_refuse(name, grant, now),
                sources=sources,
                now=now,
                active=active,
                links=links,
            )

    def _forget(self) -> None:
        """Of a record that an agent may have thrown away it may hear an older one, of another certificate."""
        law = self._law
        for judge, known in law.known.items():
            for agent, number in list(known.grants.items()):
                if law.may_reject(judge, law.grants[agent][number]):
                    del known.grants[agent]
            for signer, number in list(known.lists.items()):
                if law.lists[signer][number].authority not in law.trust[judge]:
                    del known.lists[signer]

    def _spread(
        self,
        news: tuple[str, int],
        part: Callable[[Known], dict[str, int]],
        may_refuse: Callable[[str], bool],
        *,
        sources: dict[str, float],
        now: float,
        active: Mapping[str, float],
        links: Links,
    ) -> None:
        whose, number = news
        knowing = {name: part(known) for name, known in self._law.known.items()}
        lacking = [name for name in active if knowing[name].get(whose, NOTHING_KNOWN) < number]
        if not lacking:
            return
        believed: dict[str, float] = {}
        for name, since in active.items():
            place = (name, *news)
            if may_refuse(name):
                self._believed.pop(place, None)
            else:
                believed[name] = max(since, self._believed.setdefault(place, now))
        for name in believed.keys() - set(lacking):
            sources.setdefault(name, 0.0)
        came_at = earliest({name: at for name, at in sources.items() if name in believed}, believed, links)
        for name in lacking:
            if name in came_at and now >= came_at[name] + IN_TIME_S:
                knowing[name][whose] = number


def earliest(sources: Mapping[str, float], nodes: Mapping[str, float], links: Links) -> dict[str, float]:
    """When news can have come to each of ``nodes``: no sooner than the parts of its best way were there.

    Args:
        sources: where it begins, and when.
        nodes: those that it may pass, and since when.
        links: of each, to whom, and since when.
    """
    found: dict[str, float] = {}
    waiting = sorted((max(at, nodes[name]), name) for name, at in sources.items())
    heapq.heapify(waiting)
    while waiting:
        at, name = heapq.heappop(waiting)
        if name not in found:
            found[name] = at
            for other, since in links.get(name, {}).items():
                if other in nodes:
                    heapq.heappush(waiting, (max(at, since, nodes[other]), other))
    return found


def of_one_mind(law: Law, links: Links, now: float, horizon_s: float) -> set[str]:
    """The largest part of a mesh whose links hang together, if all in it agree on everything; else nobody.

    All let each other in, are certain to for so long, and know what each has. Who was revoked need not know
    it, and may be linked to others that were: those are parts of their own.

    Args:
        law: who lets in whom.
        links: those that are up.
        now: the time.
        horizon_s: how long.
    """
    largest: set[str] = set()
    left = set(links)
    while left:
        part = set(earliest({min(left): 0.0}, dict.fromkeys(links, 0.0), links))
        largest, left = max(largest, part, key=len), left - part
    agree = all(
        law.is_up_to_date(one, other) and not law.may_refuse(one, law.newest(other), now + horizon_s)
        for one in largest
        for other in largest - {one}
    )
    return largest if agree else set()
