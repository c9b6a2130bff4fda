"""``mesh status``, ``mesh services`` and ``mesh peers``: what a running agent is doing, on one screen."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import click

from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.documents import Document, Route
from mesh.agent.cli.tables import table
from mesh.escaping import escaped

PLACE: Final = "/api/dashboard"

LISTS: Final = ("forward_routes", "unmatched_listeners", "unmatched_endpoints")


@click.command()
@asks_agent
def status(agent: Agent) -> None:
    r"""Say how a running agent is: what is wrong, its peers, its own listeners and endpoints.

    \b
    mesh status
    mesh status --config hq.yaml --json
    """
    document = whole(agent)
    agent.tell(document, lambda: "\n".join(_status(document)))


@click.command()
@asks_agent
def services(agent: Agent) -> None:
    r"""List every key of the mesh: who offers it, who listens for it, how many hops apart.

    \b
    mesh services
    """
    document = whole(agent)
    agent.tell(
        {name: getattr(document, name) for name in LISTS},
        lambda: "\n".join(_services(document)),
    )


@click.command()
@asks_agent
def peers(agent: Agent) -> None:
    r"""List the peers of a running agent, with round trips and what is wrong.

    \b
    mesh peers
    """
    document = whole(agent)
    agent.tell(document.peers, lambda: "\n".join(_peers(document)))


def whole(agent: Agent) -> Document:
    """The dashboard's document with all rows of its lists, however many there are."""
    document = agent.client.get(PLACE, Document)
    while document.rows.next_offset is not None:
        document = document.with_page(
            agent.client.get(f"{PLACE}?offset={document.rows.next_offset}", Document)
        )
    return document


def _status(document: Document) -> Iterator[str]:
    me = document.agent
    is_only_draining = document.draining and len(document.problems) == 1
    verdict = "ready" if document.ready else "draining" if is_only_draining else "not ready"
    yield f"{me.display_name} {me.short_id}, version {me.version}: {verdict}"
    for problem in document.problems:
        yield f"  {escaped(problem)}"
    for warning in document.warnings:
        yield f"  warning: {escaped(warning)}"
    if document.age_s:
        yield f"  (as of {document.age_s:.1f} s ago: the agent is busy)"
    yield from _section("peers", _peers(document))
    yield from _section("listeners", _listeners(document))
    yield from _section("endpoints", _endpoints(document))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines)


def _peers(document: Document) -> Iterator[str]:
    rows = [
        (
            peer.display_name or "?",
            peer.short_id or "",
            peer.state,
            "" if peer.rtt_ms is None else f"{peer.rtt_ms:.1f} ms",
            peer.address,
            peer.problem or "",
        )
        for peer in document.peers
    ]
    yield from table(("peer", "id", "state", "round trip", "address", "problem"), rows, none="no peers")


def _listeners(document: Document) -> Iterator[str]:
    me = document.agent.id
    rows = [
        (route.key, route.listener_address, f"{route.exit_agent}, {_hops(route)}", route.target)
        for route in document.forward_routes
        if route.ingress_agent_id == document.agent.short_id
    ]
    rows += [
        (each.key, each.listener_address, "refuses clients", each.reason)
        for each in document.unmatched_listeners
        if each.agent_id == me
    ]
    yield from table(("key", "address", "leads to", ""), rows, none="none")


def _endpoints(document: Document) -> Iterator[str]:
    me = document.agent.id
    own = (route for route in document.forward_routes if route.exit_agent_id == document.agent.short_id)
    used = Counter((route.key, route.target) for route in own)
    rows = [(*offered, f"{count} listener{'' if count == 1 else 's'}") for offered, count in used.items()]
    rows += [
        (each.key, each.target, each.reason) for each in document.unmatched_endpoints if each.agent_id == me
    ]
    yield from table(("key", "target", "used by"), sorted(rows), none="none")


def _services(document: Document) -> Iterator[str]:
    rows = [
        (
            route.key,
            f"{route.exit_agent} ({route.target})",
            f"{route.ingress_agent} ({route.listener_address})",
            " - ".join(route.path_display),
            _hops(route),
        )
        for route in document.forward_routes
    ]
    rows += [
        (each.key, f"{each.agent} ({each.target})", "", "", each.reason)
        for each in document.unmatched_endpoints
    ]
    rows += [
        (each.key, "", f"{each.agent} ({each.listener_address})", "", each.reason)
        for each in document.unmatched_listeners
    ]
    titles = ("key", "offered by", "listened for by", "path", "")
    yield from table(titles, sorted(rows), none="no key is known")


def _hops(route: Route) -> str:
    return f"{route.hop_count} hop{'' if route.hop_count == 1 else 's'}"
