"""What there is to find out, of whom: from the words of a person and the routes of now to tasks."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from mesh.diagnostics.tasks import Task, What
from mesh.routing.counterparts import NO_WAY, likely_one, why_unoffered
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import NO_AGENT, AgentId, display_id, short_id
from mesh.trust.naming import named

LIKENESS: Final = 0.7
"""How much a word has in common with one that is known, of 1, if that may be meant."""

MAX_COMPARED: Final = 1_000
"""Names and keys among which it is sought."""

OUT_OF_REACH: Final = -1

BENCH_PINGS: Final = 20
BENCH_PING_INTERVAL_S: Final = 0.05
TRACE_INTERVAL_S: Final = 0.2


class UnknownError(Exception):
    """Nobody has such a key, name or ID; the text says so, and what may be meant."""


class ForbiddenError(Exception):
    """This agent may not use the key."""


class Meant(NamedTuple):
    """The agent that is meant, and the key by which it was found."""

    agent_id: AgentId
    """``NO_AGENT`` if nobody within reach offers the key."""
    key: str
    """Empty if the agent itself was named."""


def meant_by(routes: RouteSnapshot, to: str) -> Meant:
    """Who is meant by a key, a name, an ID or the first 8 digits of one: a key before all others.

    Raises:
        UnknownError: nobody, or several.
        ForbiddenError: it is a key that this agent may not use.
    """
    in_vain = routes.offering_in_vain(to)
    if to in routes.candidates or in_vain.apart or in_vain.barred:
        if not routes.records[routes.own_id].certificate.allows_use(to):
            raise ForbiddenError(f"this agent's certificate does not permit the use of the key {to}")
        nearest = routes.candidates.get(to)
        return Meant(nearest[0].agent_id if nearest else NO_AGENT, to)
    found = [
        agent_id
        for agent_id, record in routes.records.items()
        if to in (display_id(agent_id), short_id(agent_id)) or record.name == to
    ]
    if not found:
        raise UnknownError(f"no agent offers the key {to}, and none has that name or ID{_likely(routes, to)}")
    if len(found) > 1:
        ids = ", ".join(sorted(map(display_id, found)))
        raise UnknownError(f"{len(found)} agents are called {to}: name one by its ID ({ids})")
    return Meant(found[0], "")


def ping_tasks(
    routes: RouteSnapshot, to: str, *, count: int, interval_s: float, timeout_s: float
) -> tuple[Task, ...]:
    """One: pings to the agent that is meant.

    Raises:
        UnknownError: as :func:`meant_by`.
        ForbiddenError: likewise.
    """
    task = _task(routes, What.PING, *meant_by(routes, to))
    return (replace(task, count=count, interval_s=interval_s, timeout_s=timeout_s),)


def trace_tasks(routes: RouteSnapshot, to: str, *, count: int, timeout_s: float) -> tuple[Task, ...]:
    """Pings to each agent on the way, the one that is meant last.

    What goes to an agent of a best path takes that path, so far as it leads. To one that is out of reach no
    path leads: then the way goes to the nearest of those that it last had a link with.

    Raises:
        UnknownError: as :func:`meant_by`.
        ForbiddenError: likewise.
    """
    agent_id, key = meant_by(routes, to)
    last = _task(routes, What.PING, agent_id, key)
    way = routes.way_to(agent_id)
    if agent_id in routes.records and agent_id not in routes.hop_counts:
        peers = (each.id for each in routes.records[agent_id].body.neighbours)
        hops = routes.hop_counts
        near = min(((hops[peer], peer) for peer in peers if peer in hops), default=None)
        if near is not None:
            _, nearest = near
            way = (*routes.way_to(nearest), nearest)
            stops = named(routes.records[nearest].name, nearest)
            last = replace(last, problem=f"{stops} has no link to it any more")
    others = (_task(routes, What.PING, each, "") for each in way if each not in (routes.own_id, agent_id))
    return tuple(
        replace(each, count=count, interval_s=TRACE_INTERVAL_S, timeout_s=timeout_s)
        for each in (*others, last)
    )


def survey_tasks(routes: RouteSnapshot) -> tuple[Task, ...]:
    """A ping to each other agent, and the opening of each key that this one may use, at each exit."""
    return *_agent_tasks(routes), *_key_tasks(routes)


def bench_tasks(routes: RouteSnapshot, key: str, seconds: float) -> tuple[Task, ...]:
    """Pings, then as much as goes through, each way.

    Raises:
        UnknownError: it is no key that anybody offers.
        ForbiddenError: this agent may not use it.
    """
    meant = meant_by(routes, key)
    if not meant.key:
        raise UnknownError(f"{key} is an agent: a bench needs a key that you may use there")
    ping, down, up = (_task(routes, what, *meant) for what in (What.PING, What.DOWNLOAD, What.UPLOAD))
    return (
        replace(ping, count=BENCH_PINGS, interval_s=BENCH_PING_INTERVAL_S),
        replace(down, seconds=seconds),
        replace(up, seconds=seconds),
    )


def _agent_tasks(routes: RouteSnapshot) -> Iterator[Task]:
    others = (each for each in routes.records if each != routes.own_id)
    for agent_id in sorted(others, key=lambda each: (routes.records[each].name, each)):
        yield _task(routes, What.PING, agent_id, "")


def _key_tasks(routes: RouteSnapshot) -> Iterator[Task]:
    may_use = routes.records[routes.own_id].certificate.allows_use
    offered = {key for record in routes.records.values() for key in record.offered_keys}
    for key in sorted(key for key in offered if may_use(key)):
        for candidate in routes.candidates.get(key, ()):
            yield _task(routes, What.OPEN, candidate.agent_id, key)
        if key not in routes.candidates:
            yield _task(routes, What.OPEN, NO_AGENT, key)


def _task(routes: RouteSnapshot, what: What, agent_id: AgentId, key: str) -> Task:
    record, problem = routes.records.get(agent_id), ""
    if agent_id not in routes.hop_counts:
        problem = NO_WAY if record is not None else why_unoffered(routes, key)
    name = "" if record is None else record.name
    return Task(what, agent_id, name, routes.hop_counts.get(agent_id, OUT_OF_REACH), key, problem)


def _likely(routes: RouteSnapshot, to: str) -> str:
    known = {*routes.candidates, *(record.name for record in routes.records.values())}
    return likely_one(to, known, LIKENESS) if len(known) <= MAX_COMPARED else ""
