"""``mesh status`` and ``mesh peers``: how a running agent is, on one screen."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

import click

from mesh.agent.cli.asking import Agent, asks_agent_or_all
from mesh.agent.cli.tables import table
from mesh.agent.cli.times import counted, days_left, hops, moment, span
from mesh.agent.cli.whole import WholeStatus, all_rows, whole_status
from mesh.agent.control.own_rows import EndpointRow, ListenerRow, PeerRow, Status
from mesh.agent.control.requests import PEERS, STATUS
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.findings import Severity
from mesh.escaping import escaped

MAX_ROWS: Final = 20
"""Of each section of ``mesh status``: it is to fit on a screen, and what needs a look comes first."""

ALL_ROWS: Final = 2**31

T = TypeVar("T")


@click.command()
@asks_agent_or_all
def status(agent: Agent) -> None:
    """Say how a running agent is: what is wrong, its peers, its own listeners and endpoints.

    Of long lists it shows the first rows, those with something wrong before the others; --json has all.

    \b
    mesh status
    mesh status --config hq.yaml --json
    """
    whole = whole_status(agent)
    agent.tell(whole, lambda: "\n".join(_status(whole)))


@click.command()
@asks_agent_or_all
def peers(agent: Agent) -> None:
    """List the peers of a running agent, with round trips and what is wrong.

    \b
    mesh peers
    mesh peers --json
    """
    as_of, found = agent.client.get(STATUS, Status).as_of, all_rows(agent, PEERS, PeerRow)
    agent.tell(found, lambda: "\n".join(_peers(found, as_of, none="no peers", most=ALL_ROWS)))


def _status(whole: WholeStatus) -> Iterator[str]:
    me, now = whole.agent, whole.as_of
    problems = sum(finding.severity is Severity.PROBLEM for finding in whole.findings)
    is_only_draining = whole.draining and problems == 1
    verdict = "ready" if whole.ready else "draining" if is_only_draining else "not ready"
    late = f" ({whole.age_s:.1f} s ago: the agent is busy)" if whole.age_s else ""
    yield f"{escaped(me.name)} {me.short_id}: {verdict}{late}"
    yield f"  version {me.version}, {me.phase}, started {moment(me.since)}, {span(me.since, now)} ago"
    yield f"  certificate valid until {moment(me.certificate_ends)}, {days_left(me.certificate_days_left)}"
    if whole.findings:
        yield from _section("what is wrong", _findings(whole))
    none = f"none; others are awaited at {', '.join(me.awaits_at)}" if me.awaits_at else "none"
    yield from _section("peers", _peers(whole.peers, now, none=none))
    yield from _section("listeners", _listeners(whole.listeners, now))
    if whole.socks:
        yield from _section("socks", _socks(whole))
    yield from _section("endpoints", _endpoints(whole.endpoints, now))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines)


def _findings(whole: WholeStatus) -> Iterator[str]:
    for finding in whole.findings[:MAX_ROWS]:
        since = "" if finding.since is None else f", for {span(finding.since, whole.as_of)}"
        yield f"{finding.severity.value}: {escaped(finding.what)}{since}"
        if finding.remedy:
            yield f"  do: {escaped(finding.remedy)}"
    yield from _more(len(whole.findings), MAX_ROWS)


def _more(rows: int, most: int) -> Iterator[str]:
    if rows > most:
        yield f"and {rows - most:,} more (--json has all)"


def _peers(found: Sequence[PeerRow], now: datetime, *, none: str, most: int = MAX_ROWS) -> Iterator[str]:
    rows = [
        (
            peer.name or "?",
            peer.short_id or "",
            peer.state,
            _for(peer.since, now),
            "" if peer.rtt_ms is None else f"{peer.rtt_ms:.1f} ms",
            peer.address,
            peer.problem or "",
        )
        for peer in sorted(found, key=lambda peer: peer.state == CONNECTED)
    ]
    titles = ("peer", "id", "state", "for", "round trip", "address", "problem")
    yield from table(titles, rows[:most], none=none)
    yield from _more(len(rows), most)


def _listeners(found: Sequence[ListenerRow], now: datetime) -> Iterator[str]:
    rows = [
        (each.key, each.opened_at, each.state.value, _for(each.since, now), "; ".join(leads_to(each, now)))
        for each in sorted(found, key=lambda each: each.problem is None and not each.set_aside)
    ]
    yield from table(("key", "address", "state", "for", "leads to"), rows[:MAX_ROWS], none="none")
    yield from _more(len(rows), MAX_ROWS)


def leads_to(listener: ListenerRow, now: datetime) -> Iterator[str]:
    """Where clients of a listener are led, and who is passed over, each a part of the line."""
    if listener.problem is not None:
        yield listener.problem
    aside = {each.agent_id for each in listener.set_aside}
    exits = [each for each in listener.exits if each.agent_id not in aside] or listener.exits
    if exits:
        nearest, *more = exits
        others = f" and {len(more):,} more" if more else ""
        yield f"{nearest.agent}, {hops(nearest.hop_count)}{others}"
    for exit_ in listener.set_aside:
        since, until = span(exit_.since, now), span(now, exit_.until)
        yield f"{exit_.agent} set aside for {since}, tried again in {until}: {exit_.reason}"


def _socks(whole: WholeStatus) -> Iterator[str]:
    rows = [(each.address, each.problem or "by name") for each in whole.socks]
    yield from table(("address", "leads to"), rows, none="none")


def _endpoints(found: Sequence[EndpointRow], now: datetime) -> Iterator[str]:
    rows = [
        (
            each.key,
            each.target,
            each.state.value,
            _for(each.since, now),
            each.problem or counted(each.listeners, "listener"),
        )
        for each in sorted(found, key=lambda each: each.problem is None)
    ]
    yield from table(("key", "target", "state", "for", "used by"), rows[:MAX_ROWS], none="none")
    yield from _more(len(rows), MAX_ROWS)


def _for(since: datetime | None, now: datetime) -> str:
    return "" if since is None else span(since, now)
