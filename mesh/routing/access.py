"""Which agent may use which key at which exit, gate by gate, before anything is tried.

The gates are those of :mod:`mesh.trust.policy`, which ends of connections ask, too. Whom an endpoint lets in
only its own agent knows: elsewhere that gate is taken for open, and the answer says that it depends.
"""

import enum
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec

from mesh.escaping import escaped
from mesh.routing.agent_views import EndpointView, NamedView
from mesh.routing.pairings import PathSearches
from mesh.routing.shared_paths import Paths
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId
from mesh.trust.policy import NOBODY_NAMED, Finding, Gate, at_exit, at_ingress, is_valid, shut


class LinkedView(NamedView, Protocol):
    """What is read of an agent's record."""

    @property
    def certificate(self) -> Certificate:
        """What the agent may do."""
        ...

    @property
    def endpoints(self) -> Iterable[EndpointView]:
        """What it offers."""
        ...

    @property
    def round_trips(self) -> Mapping[AgentId, int]:
        """Its peers."""
        ...

    @property
    def carries_transit(self) -> bool:
        """Whether others' connections may pass through it now."""
        ...


class May(enum.Enum):
    """Whether an agent may do something."""

    YES = "yes"
    NO = "no"
    DEPENDS = "depends"
    """On the endpoint's ``allow:``, which only its agent knows; all that is known here allows it."""


class OwnLists(msgspec.Struct, frozen=True):
    """What the configuration of the agent that answers says."""

    offered: frozenset[str]
    """Keys of its endpoints, whether the mesh is told of them now or not."""
    allowed: Mapping[str, frozenset[str]]
    """Whom its endpoints name, by key."""
    believed: Mapping[str, frozenset[str]]
    """Whom its listeners name, by key, if all of that key name somebody."""


class Question(NamedTuple):
    """Whether clients at one agent may be served under a key by another, or the same."""

    ingress: AgentId
    key: str
    exit: AgentId


class Access(NamedTuple):
    """Whether an agent may use a key at one exit."""

    ingress: LinkedView
    key: str
    exit: LinkedView
    may: May
    findings: tuple[Finding, ...]
    path: tuple[LinkedView, ...]
    """The way there, both ends included; empty if there is none."""
    in_the_way: tuple[LinkedView, ...]
    """Without a way: agents that stand on the shortest one and carry nobody's traffic."""


class AccessJudge:
    """Judges by what one agent knows.

    Args:
        own_id: the agent that answers.
        records: the newest of every agent, its own included.
        paths_from_each: how to find paths from some agents.
        own: what its configuration says.
        unix_now: Unix seconds.
    """

    def __init__(
        self,
        own_id: AgentId,
        records: Mapping[AgentId, LinkedView],
        paths_from_each: PathSearches,
        own: OwnLists,
        unix_now: float,
    ) -> None:
        self._own_id = own_id
        self._records = records
        self._paths_from_each = paths_from_each
        self._own = own
        self._unix_now = unix_now
        self._exits: dict[str, list[AgentId]] = {}
        for agent_id, record in records.items():
            keys = dict.fromkeys(entry.key for entry in record.endpoints)
            for key in keys | dict.fromkeys(sorted(own.offered)) if agent_id == own_id else keys:
                self._exits.setdefault(key, []).append(agent_id)

    @property
    def keys(self) -> list[str]:
        """All that somebody offers, rightly or not."""
        return sorted(self._exits)

    def exits_of(self, key: str) -> list[AgentId]:
        """Who offers ``key``, rightly or not."""
        return self._exits.get(key, [])

    def judge(self, questions: Collection[Question]) -> Iterator[Access]:
        """Whether each ingress may use the key at the exit; agents that are known."""
        paths_from = self._paths_from_each({question.ingress for question in questions})
        paths: dict[AgentId, Paths] = {}
        for question in questions:
            if question.ingress not in paths:
                paths = {question.ingress: paths_from(question.ingress)}  # those of all would be too many
            yield self._judge(*question, paths[question.ingress].get(question.exit, ()))

    def _judge(self, ingress_id: AgentId, key: str, exit_id: AgentId, path: tuple[AgentId, ...]) -> Access:
        ingress, exit_ = self._records[ingress_id], self._records[exit_id]
        is_own_exit = exit_id == self._own_id
        allowed = self._own.allowed.get(key, NOBODY_NAMED) if is_own_exit else NOBODY_NAMED
        believed = self._own.believed.get(key, NOBODY_NAMED) if ingress_id == self._own_id else NOBODY_NAMED
        in_the_way = () if path else self._in_the_way(ingress_id, exit_id)
        findings = (
            self._validity(ingress),
            *at_exit(ingress.certificate, key, allowed),
            self._validity(exit_),
            *at_ingress(exit_.certificate, key, believed),
            Finding(Gate.RELAY, bool(path)),
        )
        may = May.NO if shut(findings) is not None else May.YES if is_own_exit else May.DEPENDS
        way = tuple(self._records[each] for each in path)
        return Access(ingress, key, exit_, may, findings, way, in_the_way)

    def _validity(self, record: LinkedView) -> Finding:
        return Finding(Gate.VALIDITY, is_valid(record.certificate, self._unix_now), escaped(record.name))

    def _in_the_way(self, ingress_id: AgentId, exit_id: AgentId) -> tuple[LinkedView, ...]:
        between = (self._records[each] for each in self._links_between(ingress_id, exit_id))
        return tuple(record for record in between if not record.carries_transit)

    def _links_between(self, ingress_id: AgentId, exit_id: AgentId) -> list[AgentId]:
        """The agents on the shortest chain of links, whether they relay or not."""
        came_from: dict[AgentId, AgentId] = {ingress_id: ingress_id}
        waiting = deque([ingress_id])
        while waiting and exit_id not in came_from:
            here = waiting.popleft()
            for peer in sorted(self._records[here].round_trips):
                known = self._records.get(peer)
                if known is not None and peer not in came_from and here in known.round_trips:
                    came_from[peer] = here
                    waiting.append(peer)
        between: list[AgentId] = []
        step = came_from.get(exit_id, ingress_id)
        while step != ingress_id:
            between.append(step)
            step = came_from[step]
        return between[::-1]
