"""``mesh status``, ``mesh services`` and ``mesh peers``: what a running agent is doing, on one screen."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import click

from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.documents import Document, Route, Service
from mesh.agent.cli.tables import table
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.findings import Severity
from mesh.escaping import escaped

PLACE: Final = "/api/dashboard"

MAX_ROWS: Final = 20
"""Of each section of ``mesh status``: it is to fit on a screen, and what needs a look comes first."""

SHORT_DAYS: Final = 3
"""Fewer are told in hours."""

UNITS: Final = (("days", 86_400), ("h", 3_600), ("min", 60))

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
    me, now = document.agent, document.as_of
    problems = sum(finding.severity is Severity.PROBLEM for finding in document.findings)
    is_only_draining = document.draining and problems == 1
    verdict = "ready" if document.ready else "draining" if is_only_draining else "not ready"
    late = f" ({document.age_s:.1f} s ago: the agent is busy)" if document.age_s else ""
    yield f"{escaped(me.display_name)} {me.short_id}: {verdict}{late}"
    yield f"  version {me.version}, {me.phase}, started {_moment(me.since)}, {_span(me.since, now)} ago"
    yield f"  certificate valid until {_moment(me.certificate_ends)}, {_days(me.certificate_days_left)}"
    if document.findings:
        yield from _section("what is wrong", _findings(document))
    none = f"none; others are awaited at {', '.join(me.awaits_at)}" if me.awaits_at else "none"
    yield from _section("peers", _peers(document, none=none))
    yield from _section("listeners", _listeners(document))
    if document.socks:
        yield from _section("socks", _socks(document))
    yield from _section("endpoints", _endpoints(document))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines)


def _findings(document: Document) -> Iterator[str]:
    for finding in document.findings[:MAX_ROWS]:
        since = "" if finding.since is None else f", for {_span(finding.since, document.as_of)}"
        yield f"{finding.severity.value}: {escaped(finding.what)}{since}"
        if finding.remedy:
            yield f"  do: {escaped(finding.remedy)}"
    yield from _more(len(document.findings))


def _more(rows: int) -> Iterator[str]:
    if rows > MAX_ROWS:
        yield f"and {rows - MAX_ROWS:,} more (--json has all)"


def _peers(document: Document, *, none: str = "no peers") -> Iterator[str]:
    rows = [
        (
            peer.display_name or "?",
            peer.short_id or "",
            peer.state,
            "" if peer.since is None else _span(peer.since, document.as_of),
            "" if peer.rtt_ms is None else f"{peer.rtt_ms:.1f} ms",
            peer.address,
            peer.problem or "",
        )
        for peer in sorted(document.peers, key=lambda peer: peer.state == CONNECTED)
    ]
    titles = ("peer", "id", "state", "for", "round trip", "address", "problem")
    yield from table(titles, rows[:MAX_ROWS], none=none)
    yield from _more(len(rows))


def _listeners(document: Document) -> Iterator[str]:
    me = document.agent.short_id
    exits: dict[tuple[str, str], list[Route]] = {}
    for route in document.forward_routes:
        if route.ingress_agent_id == me:
            exits.setdefault((route.key, route.listener_address), []).append(route)
    rows = [
        (
            each.key,
            each.address,
            each.state.value,
            _for(each, document),
            "; ".join(_about_listener(each, exits.get((each.key, each.address), ()), document)),
        )
        for each in _worst_first(document.listeners)
    ]
    yield from table(("key", "address", "state", "for", "leads to"), rows[:MAX_ROWS], none="none")
    yield from _more(len(rows))


def _about_listener(listener: Service, exits: Sequence[Route], document: Document) -> Iterator[str]:
    if listener.reason:
        yield listener.reason
    if exits:
        nearest = min(exits, key=lambda route: route.hop_count)
        others = f" and {len(exits) - 1:,} more" if len(exits) > 1 else ""
        yield f"{nearest.exit_agent}, {_hops(nearest)}{others}"
    for exit_ in listener.set_aside:
        since, until = _span(exit_.since, document.as_of), _span(document.as_of, exit_.until)
        yield f"{exit_.agent} set aside for {since}, tried again in {until}: {exit_.reason}"


def _socks(document: Document) -> Iterator[str]:
    rows = [(each.address, each.problem or "by name") for each in document.socks]
    yield from table(("address", "leads to"), rows, none="none")


def _endpoints(document: Document) -> Iterator[str]:
    me = document.agent.short_id
    used = Counter(route.key for route in document.forward_routes if route.exit_agent_id == me)
    rows = [
        (
            each.key,
            each.address,
            each.state.value,
            _for(each, document),
            each.reason or _users(used[each.key]),
        )
        for each in _worst_first(document.endpoints)
    ]
    yield from table(("key", "target", "state", "for", "used by"), rows[:MAX_ROWS], none="none")
    yield from _more(len(rows))


def _worst_first(rows: Sequence[Service]) -> list[Service]:
    return sorted(rows, key=lambda each: not each.reason and not each.set_aside)


def _users(count: int) -> str:
    return f"{count} listener{'' if count == 1 else 's'}"


def _for(service: Service, document: Document) -> str:
    return "" if service.since is None else _span(service.since, document.as_of)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M UTC}"


def _days(days: float) -> str:
    if days <= 0:
        return "which is over"
    return f"{days:,.0f} days left" if days >= SHORT_DAYS else f"{days * 24:.1f} hours left"


def _span(begin: datetime, end: datetime) -> str:
    """How long it is from ``begin`` to ``end``, in the unit that people would take."""
    seconds = max(0.0, (end - begin).total_seconds())
    for unit, length_s in UNITS:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


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
