"""A small mesh to look for pairings in."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from mesh.routing.pairings import (
    Pairings,
    find_pairings,
)
from mesh.routing.shared_paths import Paths
from mesh.trust.identity import AgentId


class Grant(msgspec.Struct, frozen=True):
    may_register: tuple[str, ...] = ("*",)
    may_use: tuple[str, ...] = ("*",)

    def allows_register(self, key: str) -> bool:
        return any(fnmatchcase(key, pattern) for pattern in self.may_register)

    def allows_use(self, key: str) -> bool:
        return any(fnmatchcase(key, pattern) for pattern in self.may_use)


class Endpoint(msgspec.Struct, frozen=True):
    key: str
    target: str | None = "127.0.0.1:80"


class Listener(msgspec.Struct, frozen=True):
    key: str
    address: str = "127.0.0.1:8000"


class Agent(msgspec.Struct, frozen=True):
    name: str
    endpoints: tuple[Endpoint, ...] = ()
    listeners: tuple[Listener, ...] = ()
    certificate: Grant = Grant()

    @property
    def agent_id(self) -> AgentId:
        return agent_id(self.name)


def agent_id(name: str) -> AgentId:
    return AgentId(name.encode().ljust(16, b"\0"))


def pair(agents: list[Agent], links: list[tuple[str, str]], own: str) -> Pairings:
    graph: dict[AgentId, list[AgentId]] = {agent.agent_id: [] for agent in agents}
    for one, other in links:
        graph[agent_id(one)].append(agent_id(other))
        graph[agent_id(other)].append(agent_id(one))
    return find_pairings(
        agent_id(own),
        {agent.agent_id: agent for agent in agents},
        lambda _: lambda start: breadth_first(graph, start),
    )


def breadth_first(graph: Mapping[AgentId, list[AgentId]], start: AgentId) -> Paths:
    paths = {start: (start,)}
    edge = [start]
    while edge:
        edge = [
            paths.setdefault(following, (*paths[step], following))[-1]
            for step in edge
            for following in graph[step]
            if following not in paths
        ]
    return paths
