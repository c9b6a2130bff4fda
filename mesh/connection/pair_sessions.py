"""Which pair sessions an agent has, at either end, and for how long.

An ingress asks for one in one full OPEN at a time, and opens connections under it until it is too old or has
opened too many; before that another full OPEN asks for the next. The exit keeps each a little longer, for
OPENs that are under way. What is over is forgotten by a timer, on an idle agent as well: from then on nobody
can work out what was sealed under it.

Times are monotonic seconds.
"""

from math import inf
from typing import Final, NamedTuple

from mesh.connection.pair_session import PairSession
from mesh.connection.party import Party
from mesh.trust.identity import AgentId, Instance

PAIR_AGE_S: Final = 120.0
PAIR_CONNECTIONS: Final = 10_000
"""For how long, and for how many connections, an ingress opens connections under one pair session."""

RENEWAL_SHARE: Final = 3 / 4
"""Of either, after which the ingress asks for the next."""

EXIT_GRACE_S: Final = 30.0
"""How much longer the exit keeps it: longer than an OPEN is repeated, by default."""

ASK_PATIENCE_S: Final = 1.0
"""After a full OPEN that has asked for a pair session, until another asks: its answer may be lost. It is as
good if it comes after all."""

KEPT_OF_INGRESS: Final = 2
"""Pair sessions that an exit keeps of one ingress: the present one and the one before."""

MAX_AGENTS: Final = 4_096
"""Agents with which pair sessions are kept, at either end; with one more, those with the first are forgotten.
At some 600 bytes each, 2.5 MB."""


class PairLimits(NamedTuple):
    """How long one pair session serves."""

    age_s: float = PAIR_AGE_S
    connections: int = PAIR_CONNECTIONS
    grace_s: float = EXIT_GRACE_S


class _Present:
    """What an ingress uses towards one exit."""

    __slots__ = ("agreed_at", "exit", "is_doubted", "opened", "session")

    def __init__(self, exit_: Party, session: PairSession, agreed_at: float) -> None:
        self.exit = exit_
        self.session = session
        self.agreed_at = agreed_at
        self.opened = 0
        """Connections under it."""
        self.is_doubted = False
        """Whether somebody has said, in the exit's name, that it does not know it."""


class IngressPairs:
    """Those under which an agent opens its own connections, by exit."""

    def __init__(self, limits: PairLimits) -> None:
        self._limits = limits
        self._present: dict[AgentId, _Present] = {}
        """Those that end first come first."""
        self._asked: dict[AgentId, tuple[Instance, float]] = {}
        """Which instance a full OPEN last asked for one, and when; until it is there."""

    def prepare(self, exit_: Party, connection: int, now: float) -> bool:
        """Derive the keys of a connection ahead; whether there is a pair session for it at present."""
        present = self._find(exit_, now)
        if present is None:
            return False
        present.session.prepare(connection)
        return True

    def take(self, exit_: Party, now: float) -> PairSession | None:
        """The one under which to open the next connection, or none if that takes a full OPEN."""
        present = self._find(exit_, now)
        if present is None or (self._is_worn(present, now) and self._may_ask(exit_, now)):
            return None
        present.opened += 1
        return present.session

    def ask(self, exit_: Party, now: float) -> bool:
        """Whether the full OPEN that is about to be made is to ask for the next; then it counts as asked."""
        present = self._find(exit_, now)
        if not self._may_ask(exit_, now) or (present is not None and not self._is_worn(present, now)):
            return False
        self._asked.pop(exit_.id, None)
        if len(self._asked) >= MAX_AGENTS:
            del self._asked[next(iter(self._asked))]
        self._asked[exit_.id] = exit_.instance, now
        return True

    def doubt(self, exit_: Party, now: float) -> None:
        """The exit says, or somebody in its name, that it does not know the present one: ask for the next."""
        present = self._find(exit_, now)
        if present is not None:
            present.is_doubted = True

    def agreed(self, exit_: Party, session: PairSession, now: float) -> None:
        """The exit has answered a full OPEN that asked."""
        self.forget(exit_.id)
        if len(self._present) >= MAX_AGENTS:
            del self._present[next(iter(self._present))]
        self._present[exit_.id] = _Present(exit_, session, now)

    def forget(self, exit_id: AgentId) -> None:
        """Have none with this exit."""
        self._present.pop(exit_id, None)
        self._asked.pop(exit_id, None)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        while self.deadline() <= now:
            self.forget(next(iter(self._present)))

    def deadline(self) -> float:
        """When to expire something."""
        for present in self._present.values():
            return present.agreed_at + self._limits.age_s
        return inf

    def parties(self) -> list[Party]:
        """The exits of all that there are."""
        return [present.exit for present in self._present.values()]

    def _find(self, exit_: Party, now: float) -> _Present | None:
        present = self._present.get(exit_.id)
        if (
            present is None
            or present.exit != exit_
            or now >= present.agreed_at + self._limits.age_s
            or present.opened >= self._limits.connections
        ):
            return None
        return present

    def _is_worn(self, present: _Present, now: float) -> bool:
        limits = self._limits
        return (
            present.is_doubted
            or now >= present.agreed_at + RENEWAL_SHARE * limits.age_s
            or present.opened >= RENEWAL_SHARE * limits.connections
        )

    def _may_ask(self, exit_: Party, now: float) -> bool:
        asked = self._asked.get(exit_.id)
        return asked is None or asked[0] != exit_.instance or now >= asked[1] + ASK_PATIENCE_S


class _Kept(NamedTuple):
    ingress: Party
    session: PairSession
    until: float


class ExitPairs:
    """Those under which others open connections to this agent."""

    def __init__(self, limits: PairLimits) -> None:
        self._limits = limits
        self._by_name: dict[bytes, _Kept] = {}
        """Those that end first come first."""
        self._names: dict[AgentId, tuple[bytes, ...]] = {}
        """Of each ingress, the newest last."""

    def agreed(self, ingress: Party, session: PairSession, now: float) -> None:
        """An OPEN of this ingress that asked for one is being answered."""
        names = self._names.pop(ingress.id, ())
        if len(names) >= KEPT_OF_INGRESS:
            del self._by_name[names[0]]
            names = names[1:]
        if len(self._names) >= MAX_AGENTS:
            self.forget(next(iter(self._names)))
        self._names[ingress.id] = (*names, session.name)
        until = now + self._limits.age_s + self._limits.grace_s
        self._by_name[session.name] = _Kept(ingress, session, until)

    def keys(self, ingress: Party, name: bytes, connection: int, now: float) -> tuple[bytes, bytes] | None:
        """Those of a connection of this ingress, or none if it has no such pair session here."""
        kept = self._by_name.get(name)
        if kept is None or kept.ingress != ingress or now >= kept.until:
            return None
        return kept.session.keys(connection)

    def forget(self, ingress_id: AgentId) -> None:
        """Have none with this ingress."""
        for name in self._names.pop(ingress_id, ()):
            del self._by_name[name]

    def expire(self, now: float) -> None:
        """Forget what is over."""
        while self.deadline() <= now:
            name, kept = next(iter(self._by_name.items()))
            del self._by_name[name]
            names = tuple(each for each in self._names.pop(kept.ingress.id) if each != name)
            if names:
                self._names[kept.ingress.id] = names

    def deadline(self) -> float:
        """When to expire something."""
        for kept in self._by_name.values():
            return kept.until
        return inf

    def parties(self) -> list[Party]:
        """The ingresses of all that there are."""
        return [kept.ingress for kept in self._by_name.values()]


class PairSessions:
    """Both, of one instance.

    Args:
        limits: how long each serves.
    """

    def __init__(self, limits: PairLimits) -> None:
        self.of_ingress = IngressPairs(limits)
        """Under which this agent opens connections."""
        self.of_exit = ExitPairs(limits)
        """Under which others open connections to it."""

    def parties(self) -> set[Party]:
        """All with whom there is one."""
        return {*self.of_ingress.parties(), *self.of_exit.parties()}

    def forget(self, agent_id: AgentId) -> None:
        """Have none with this agent: it is another instance, or is not trusted any more."""
        self.of_ingress.forget(agent_id)
        self.of_exit.forget(agent_id)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        self.of_ingress.expire(now)
        self.of_exit.expire(now)

    def deadline(self) -> float:
        """When to expire something; infinite if there is nothing."""
        return min(self.of_ingress.deadline(), self.of_exit.deadline())
