"""Why a listener or an endpoint has no counterpart, in the words of the dashboard's page and of the log."""

from collections.abc import Collection, Container, Iterable, Sequence
from difflib import get_close_matches
from typing import Final, Generic, NamedTuple, TypeVar

from mesh.routing.agent_views import NamedView
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId

NO_OFFER: Final = "no agent offers this key"
NO_LISTENER: Final = "no agent listens for this key"
NO_USE: Final = "the agent's certificate does not permit it to use this key"
NO_REGISTER: Final = "the agent's certificate does not permit it to register this key"
CUT_OFF: Final = "no path leads to this agent at present"

NO_WAY: Final = "no path leads there at present"

MAX_NAMES_SHOWN: Final = 3
"""Agents that a reason names before it only counts."""

MAX_KEYS_COMPARED: Final = 64
"""Keys among which one that looks like a misspelled one is sought: a millisecond or two."""

MAX_GUESSED_CHARACTERS: Final = 40
"""Of a key, or a name, for which a likely one is sought. To compare it with one that is made to be hard takes
0.5 ms then, and 30 ms with 199 characters."""

MAX_GUESSES: Final = 64
"""Listeners for which it is sought what key they may mean: if more are not served, spelling is not why."""

LIKENESS: Final = 0.8
"""How much two keys have in common, of 1, if one may be meant by the other; ``difflib`` counts it."""

A = TypeVar("A", bound=NamedView)


class Words(NamedTuple):
    """Why an agent on one side of a key has no counterpart; ``{}`` stands for names."""

    denied: str
    apart: str
    barred: str
    nobody: str


LISTENER_WORDS: Final = Words(
    denied=NO_USE,
    apart="offered by {}, but no path leads there",
    barred="offered by {}, whose certificate does not permit it",
    nobody=NO_OFFER,
)
ENDPOINT_WORDS: Final = Words(
    denied=NO_REGISTER,
    apart="{} listens for it, but no path leads here from there",
    barred="{} listens for it, but its certificate does not permit that",
    nobody=NO_LISTENER,
)


class Side(Generic[A]):
    """The agents that listen for a key, or those that offer it; ``words`` are for these."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.permitted: dict[AgentId, A] = {}
        self.barred: dict[AgentId, A] = {}
        self._why_apart = ""
        """The same for all that may be on this side: made once."""

    def add(self, agent: A, *, is_permitted: bool) -> None:
        """One more."""
        (self.permitted if is_permitted else self.barred)[agent.agent_id] = agent

    def why_unmatched(self, agent: A, others: "Side[A]", reachable: Container[AgentId]) -> str:
        """Why ``agent``, who is on this side, has no counterpart among ``others``."""
        if agent.agent_id not in reachable:
            return CUT_OFF
        if agent.agent_id in self.barred:
            return self._words.denied
        if not self._why_apart:
            self._why_apart = _why_apart(self._words, others.permitted.values(), others.barred.values())
        return self._why_apart


def why_unoffered(routes: RouteSnapshot, key: str) -> str:
    """Why the agent whose routes these are, and who may use ``key``, reaches nobody who offers it."""
    reason = routes.reasons.get(key)
    if reason is None:
        found = routes.offering_in_vain(key)
        why = _why_apart(LISTENER_WORDS, found.apart, found.barred)
        may_guess = len(routes.reasons) < MAX_GUESSES
        reason = routes.reasons[key] = with_likely_key(why, key, routes.candidates) if may_guess else why
    return reason


def with_likely_key(reason: str, key: str, offered: Collection[str]) -> str:
    """``reason``, and which of the ``offered`` keys may be meant by ``key``, which nobody offers."""
    if reason != NO_OFFER or len(offered) > MAX_KEYS_COMPARED:
        return reason
    return reason + likely_one(key, offered, LIKENESS)


def likely_one(key: str, known: Iterable[str], likeness: float) -> str:
    """The end of a sentence: which of the ``known`` may be meant by ``key``, which is none of them."""
    likely = () if len(key) > MAX_GUESSED_CHARACTERS else get_close_matches(key, known, n=1, cutoff=likeness)
    return f"; is {likely[0]!r} meant?" if likely else ""


def why_disbelieved(names: Sequence[str]) -> str:
    """Why a listener ignores all that offer its key: ``names`` of agents that are not in its ``agents:``."""
    return f"offered by {some_of(sorted(names))}, which {'is' if len(names) == 1 else 'are'} not in agents:"


def by_way_of(routes: RouteSnapshot, exit_id: AgentId) -> str:
    """By which relays ``exit_id`` is asked, in the words of a log line."""
    if exit_id == routes.own_id:
        return "on this very agent"
    if exit_id not in routes.next_hops:
        return NO_WAY
    relays = [routes.records[relay].name for relay in routes.way_to(exit_id)]
    return f"by way of {', '.join(relays)}" if relays else "by a link of this agent's own"


def _why_apart(words: Words, permitted: Iterable[NamedView], barred: Iterable[NamedView]) -> str:
    parts = ((words.apart, permitted), (words.barred, barred))
    found = ((text, sorted(agent.name for agent in agents)) for text, agents in parts)
    return "; ".join(text.format(some_of(names)) for text, names in found if names) or words.nobody


def some_of(names: Sequence[str], *, apart: str = ", ") -> str:
    """The first of ``names``, ``apart`` between them, and how many more there are, for a line to people."""
    more = len(names) - MAX_NAMES_SHOWN
    return apart.join(names[:MAX_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
