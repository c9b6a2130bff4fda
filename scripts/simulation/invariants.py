"""What must be so in every mesh, whatever has befallen it."""

import contextlib
import errno
import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from actors.connections.connection_end import ConnectionEnd
from actors.connections.endpoint import Endpoint
from actors.connections.ingress_connection import IngressConnection
from actors.connections.listener import Listener
from actors.links.dialer import Dialer
from actors.links.peer_link import PeerLink
from actors.messages import connection_table as table_messages
from actors.runtime.actor import Actor
from mesh.routing.routes import RouteSnapshot
from scripts.simulation.conversation import Conversation, Heard, Terms
from scripts.simulation.scenario import Expectation
from scripts.simulation.topology import Map, distances
from scripts.simulation.world import Complaints, MeshWorld

POLL_S: Final = 0.05
"""Virtual seconds between two looks at a mesh that is still to become as it must be."""

DEATH_SEEN_S: Final = 0.1
"""Until a service sees that an exit's agent was killed: it is near that agent."""

LEFT_POLL_S: Final = 0.97
"""Likewise; a health check that is under way each time would look like a socket that is left."""


class InvariantError(AssertionError):
    """Something was so that must never be. ``name`` says which invariant, the text what was found."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"{name}: {found}")
        self.name = name


# -- streams -------------------------------------------------------------------------------------------------


class Talks(Protocol):
    """Clients, what their services heard, and what was logged: a mesh, simulated or real."""

    conversations: list[Conversation]
    records: dict[int, Heard]
    silent: list[Heard]
    """What services heard of clients that have not told their number."""
    met: Counter[int]
    """Connections to services that brought bytes of a client, by its number."""
    crashed_at: list[float]
    """When agents were killed."""
    log: Complaints


def streams_are_whole(mesh: Talks) -> None:
    """No byte that was not sent, no end of stream before all of it, and no actor that crashed."""
    _no_actor_crashed(mesh)
    _bytes_reach_one_target(mesh)
    for conversation in mesh.conversations:
        _judge(conversation.terms, conversation.heard, "client")
        number = conversation.terms.number
        if number in mesh.records:
            _judge(conversation.terms, mesh.records[number], "service")
    strangers = set(mesh.records) - {conversation.terms.number for conversation in mesh.conversations}
    if strangers:
        raise InvariantError("streams are whole", f"the service met strangers: {sorted(strangers)}")


def _judge(terms: Terms, heard: Heard, side: str) -> None:
    if heard.wrong:
        raise InvariantError("streams are whole", f"wrong bytes at the {side}: {terms}: {heard}")
    if heard.cut_short:
        raise InvariantError("streams are whole", f"ended early at the {side}: {terms}: {heard}")


def _no_actor_crashed(mesh: Talks) -> None:
    if mesh.log.crashes:
        raise InvariantError("no actor crashes", mesh.log.crashes[0])


def _bytes_reach_one_target(mesh: Talks) -> None:
    twice = [number for number, count in mesh.met.items() if count > 1]
    if twice:
        text = f"bytes of clients {twice[:5]} came by more than one connection to a service"
        raise InvariantError("bytes reach one target", text)


def conversations_end(mesh: MeshWorld, limit_s: float) -> None:
    """Every conversation is over at the client before long: complete, reset or refused."""
    try:
        mesh.run_until(lambda: all(c.heard.is_over for c in mesh.conversations), limit_s)
    except TimeoutError:
        left = [(c.terms, c.heard) for c in mesh.conversations if not c.heard.is_over]
        raise InvariantError("conversations end", f"not over after {limit_s:g} s: {left[:3]}") from None


def as_expected(mesh: Talks, expect: Expectation) -> None:
    """Conversations came to what the scenario promises; those of clients that left came to nothing wrong."""
    streams_are_whole(mesh)
    if expect is Expectation.SERVED:
        _clients_are_served(mesh)
    for conversation in mesh.conversations:
        opened = conversation.terms.number in mesh.records
        wanted = expect is Expectation.COMPLETE or (expect is Expectation.OPENED and opened)
        if wanted and not conversation.heard.left:
            is_complete(mesh, conversation)


def _died_with_its_exit(heard: Heard, mesh: Talks) -> bool:
    ended_at = heard.finished_at
    return bool(heard.error) and any(0.0 <= ended_at - at <= DEATH_SEEN_S for at in mesh.crashed_at)


def _clients_are_served(mesh: Talks) -> None:
    """A service met each client that did not leave.

    A killed one, or an exit's agent that was, took along those that it had accepted and that had not spoken.
    """
    unserved = [c for c in mesh.conversations if c.terms.number not in mesh.records and not c.heard.left]
    taken_along = sum(not heard.is_over or _died_with_its_exit(heard, mesh) for heard in mesh.silent)
    if sum(bool(c.heard.error) for c in unserved) > taken_along or not all(c.heard.error for c in unserved):
        found = [(c.terms, c.heard) for c in unserved[:3]]
        raise InvariantError("clients are served", f"{taken_along} died with a service; none served {found}")


def is_complete(mesh: Talks, conversation: Conversation) -> None:
    """A conversation has ended in order at both sides."""
    terms, heard = conversation.terms, conversation.heard
    other = mesh.records.get(terms.number)
    if not (heard.is_complete and heard.byte_count == terms.down and other is not None and other.is_complete):
        raise InvariantError("conversations complete", f"{terms}: client {heard}; service {other}")


# -- leaks ---------------------------------------------------------------------------------------------------


def leftovers(mesh: MeshWorld) -> dict[str, Any]:
    """Connections, sockets, frames and reservations that are left on running agents."""
    found: dict[str, Any] = {}
    for name in mesh.running:
        left = {what: value for what, value in held(mesh, name).items() if value not in (0, [], (0, 0, 0))}
        if left:
            found[name] = left
    for host in mesh.services:
        if mesh.world.dispatcher(host).actors and mesh.world.open_sockets(host) != 1:
            found[host] = {"sockets of the service": mesh.world.open_sockets(host) - 1}
    return found


def held(mesh: MeshWorld, name: str) -> dict[str, Any]:
    """What an agent holds for connections."""
    counts = mesh.ask(name, "connection_table", table_messages.GetConnectionCounts())
    links = mesh.actors_on(name, PeerLink)
    listening = set(mesh.network.host(name).listeners.values())  # one may have several places
    dialing = [dialer for dialer in mesh.actors_on(name, Dialer) if dialer._reach.under_way]
    return {
        "connection actors": [str(end) for end in mesh.actors_on(name, ConnectionEnd) if not stands_by(end)],
        "connections": (counts.ingress, counts.exit, counts.pending_opens),
        "sockets": mesh.world.open_sockets(name) - len(links) - len(listening) - len(dialing),
        "queued frames": sum(link._output.queue.frames for link in links),
        "waiting bytes": mesh.plans[name].relay_budget.held_bytes,
        "reserved bytes": mesh.plans[name].budget.reserved_bytes,
        "clients of listeners": sum(each._clients.connected for each in mesh.actors_on(name, Listener)),
        "connections of endpoints": sum(map(admitted, mesh.actors_on(name, Endpoint))),
    }


def stands_by(actor: Actor[Any]) -> bool:
    """Whether it is an ingress connection that its listener has ready for its next client."""
    return isinstance(actor, IngressConnection) and actor.stands_by


def admitted(endpoint: Endpoint) -> int:
    """How many connections have a place at this endpoint."""
    return len(endpoint._admitted) + endpoint._door.inside


def nothing_is_left(mesh: MeshWorld, limit_s: float) -> None:
    """All that connections took is given back, soon, and the services' sockets too."""
    deadline = mesh.world.now() + limit_s
    while left := leftovers(mesh):
        if mesh.world.now() >= deadline:
            raise InvariantError("nothing is left", f"after {limit_s:g} s: {left}")
        mesh.run(LEFT_POLL_S)
    _no_actor_crashed(mesh)


def census(mesh: MeshWorld) -> dict[str, Counter[str]]:
    """How many actors of which kind live on each agent, without those that stand by for a client."""
    return {
        name: Counter(type(each).__name__ for each in mesh.actors_on(name) if not stands_by(each))
        for name in mesh.running
    }


def no_actor_is_left(mesh: MeshWorld, before: Mapping[str, Counter[str]]) -> None:
    """Each agent has the actors that it had ``before`` anything happened."""
    now = census(mesh)
    for name, actors in before.items():
        found = now.get(name, Counter())
        if found != actors:
            more, fewer = dict(found - actors), dict(actors - found)
            raise InvariantError("no actor is left", f"{name}: {more} more, {fewer} fewer than at first")


# -- routes --------------------------------------------------------------------------------------------------


def agents_agree(mesh: MeshWorld, limit_s: float) -> None:
    """All running agents know the same of the mesh, before long."""
    deadline = mesh.world.now() + limit_s
    while True:
        problem = _disagreement(mesh)
        if problem is None:
            return
        if mesh.world.now() >= deadline:
            raise InvariantError("agents agree", f"after {limit_s:g} s: {problem}")
        mesh.run(POLL_S)


def _disagreement(mesh: MeshWorld) -> str | None:
    first: tuple[str, dict[str, Any]] | None = None
    for name in mesh.running:
        snapshot = mesh.routes(name)
        if snapshot is None:
            return f"{name} has no route table"
        view = {
            record.name: (agent_id, record.instance, record.body.neighbours, record.body.endpoints)
            for agent_id, record in snapshot.records.items()
            if not record.body.withdrawn
        }
        if len(view) < len(mesh.running):
            return f"{name} knows of {sorted(view)} only"
        if first is None:
            first = (name, view)
        elif view != first[1]:
            differing = [key for key in {**first[1], **view} if first[1].get(key) != view.get(key)]
            return f"{first[0]} and {name} differ on {differing[:5]}"
    return None


def graph_is(mesh: MeshWorld, layout: Map, limit_s: float) -> None:
    """Every agent comes to hold exactly the graph of ``layout``, at the hop counts that follow from it."""
    deadline = mesh.world.now() + limit_s
    truth = layout.neighbours()
    hops = {name: layout.hops_from(name) for name in mesh.running}
    while True:
        problem = _differs(mesh, truth, hops)
        if problem is None:
            return
        if mesh.world.now() >= deadline:
            raise InvariantError("agents hold the graph", f"after {limit_s:g} s: {problem}")
        mesh.run(POLL_S)


def _differs(
    mesh: MeshWorld, truth: dict[str, set[str]], hops: Mapping[str, Mapping[str, int]]
) -> str | None:
    for name in mesh.running:
        snapshot = mesh.routes(name)
        if snapshot is None:
            return f"{name} has no route table"
        if len(snapshot.records) != len(truth):
            return f"{name} holds {len(snapshot.records)} records of {len(truth)} agents"
        names = {agent_id: record.name for agent_id, record in snapshot.records.items()}
        for record in snapshot.records.values():
            peers = {names.get(neighbour.id, "a stranger") for neighbour in record.body.neighbours}
            if peers != truth.get(record.name):
                wrong = sorted(peers ^ truth.get(record.name, set()))
                return (
                    f"in the view of {name}, {record.name} and {wrong} are linked, or not, as they should be"
                )
        found = {names[agent_id]: hop_count for agent_id, hop_count in snapshot.hop_counts.items()}
        if found != hops[name]:
            wrong = [other for other in truth if found.get(other) != hops[name].get(other)]
            return f"{name}'s hop counts are not the graph's, towards {wrong[:5]}"
    return None


def candidates_are_nearest_first(mesh: MeshWorld, layout: Map, limit_s: float) -> None:
    """Every listener comes to have all reachable endpoints of its key: by hop count, then round trip."""
    deadline = mesh.world.now() + limit_s
    while True:
        problem = _wrong_candidates(mesh, layout)
        if problem is None:
            return
        if mesh.world.now() >= deadline:
            raise InvariantError("every reachable key is usable", f"after {limit_s:.2f} s: {problem}")
        mesh.run(POLL_S)


def _wrong_candidates(mesh: MeshWorld, layout: Map) -> str | None:
    for name in dict.fromkeys(name for names in layout.listeners.values() for name in names):
        snapshot = mesh.routes(name)
        if snapshot is None:
            return f"{name} has no route table"
        hops = layout.hops_from(name)
        found = distances(_links(snapshot), name, without_relay=layout.without_relay)
        listeners = {listener._key: listener for listener in mesh.actors_on(name, Listener)}
        for key in (key for key, names in layout.listeners.items() if name in names):
            reachable = [exit_ for exit_ in layout.endpoints[key] if exit_ in hops]
            if missing := [exit_ for exit_ in reachable if exit_ not in found]:
                return f"{name} knows no way to {missing}"
            wanted = sorted((hops[exit_], _step(found[exit_][1]), exit_) for exit_ in reachable)
            offers = [
                (offer.hop_count, offer.rtt_step, snapshot.records[offer.party.id].name)
                for offer in listeners[key]._desk.offers
            ]
            if sorted(offers) != wanted or [each[:2] for each in offers] != [each[:2] for each in wanted]:
                return f"{key} at {name}: found {offers}, expected {wanted}: hops, step of round trip, agent"
    return None


def _links(snapshot: RouteSnapshot) -> dict[str, dict[str, int]]:
    """Each agent's links as the records tell, with their round trips in half milliseconds."""
    told: dict[str, dict[str, int]] = {}
    for record in snapshot.records.values():
        steps = told[record.name] = {}
        for neighbour in record.body.neighbours:
            if neighbour.id in snapshot.records:
                steps[snapshot.records[neighbour.id].name] = neighbour.rtt_step
    return {
        name: {
            other: 2 ** max(step, told[other][name]) for other, step in steps.items() if name in told[other]
        }
        for name, steps in told.items()
    }


def _step(round_trip: int) -> int:
    """The step of a whole path: 0 up to half a millisecond, one more for each doubling."""
    return math.ceil(math.log2(max(1, round_trip)))


def last_words_arrive(mesh: MeshWorld, talks: Collection[Conversation], limit_s: float) -> None:
    """What a service or a client said before it reset has arrived at the other side, and then the reset."""

    def listener(talk: Conversation) -> tuple[Heard | None, int]:
        """Who heard, and how much it should have heard."""
        if talk.pace.last_words:
            return mesh.records.get(talk.terms.number), len(talk.terms.request)
        return talk.heard, talk.terms.down

    def is_over(talk: Conversation) -> bool:
        heard, _ = listener(talk)
        return heard is not None and heard.is_over

    with contextlib.suppress(TimeoutError):
        mesh.run_until(lambda: all(map(is_over, talks)), limit_s)
    for talk in talks:
        heard, byte_count = listener(talk)
        if heard is None or heard.byte_count != byte_count or heard.error != errno.ECONNRESET or heard.wrong:
            raise InvariantError("last words arrive", f"{talk.terms}, {talk.pace}: {heard}")


def probes_complete(mesh: MeshWorld, probes: Collection[Conversation], limit_s: float) -> None:
    """Connections that were opened once everything was mended are served."""
    conversations_end(mesh, limit_s)
    mesh.run(0.5)
    for probe in probes:
        try:
            is_complete(mesh, probe)
        except InvariantError as error:
            raise InvariantError("every reachable key is usable", str(error)) from None
