"""``mesh top``: peers and the busiest agents and connections of a running agent, live."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from mesh.agent.cli.asking import Agent, asks_agent_for_people
from mesh.agent.cli.connection_command import (
    Totals,
    byte_count,
    duration,
    open_connections,
    rate_of,
    totals_of,
)
from mesh.agent.cli.following import Patience, rounds, until_interrupted
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.own_rows import PeerRow, Status
from mesh.agent.control.requests import PEERS, STATUS
from mesh.connection.endings import ConnectionView, End
from mesh.escaping import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY_S: Final = 2.0

MAX_PEERS: Final = 8

MAX_AGENTS: Final = 6

TOP_LINES: Final = 11
"""Of the screen for what is not a row: titles, blank lines and the first line."""

Rated = tuple[ConnectionView, float]
"""A connection, and its bytes a second."""


@click.command()
@asks_agent_for_people
def top(agent: Agent) -> None:
    """Show peers, and who transfers most through a running agent, on the whole screen until Ctrl-C.

    It waits for an agent that is started anew, for a minute at most.

    \b
    mesh top
    mesh top --config hq.yaml
    """
    if agent.as_json or not sys.stdout.isatty():
        raise click.UsageError("mesh top draws on a terminal; for programs there is mesh connections --json")
    from rich.console import Console  # noqa: PLC0415 - see mesh/agent/cli/tables.py
    from rich.live import Live  # noqa: PLC0415

    console, before = Console(), Totals()
    with until_interrupted(), Live(console=console, screen=True, auto_refresh=False) as live:
        patience = Patience(lambda text: live.update(text, refresh=True), follows=True)
        for elapsed_s in rounds(EVERY_S, again=True):
            status, peers, views = patience.ask(lambda: _seen(agent))
            rated = rated_of(views, before, elapsed_s)
            live.update(screen(status, peers, rated, console.size.height), refresh=True)
            before = totals_of(views)


def _seen(agent: Agent) -> tuple[Status, Sequence[PeerRow], Sequence[ConnectionView]]:
    return agent.client.get(STATUS, Status), all_rows(agent, PEERS, PeerRow), open_connections(agent)


def rated_of(views: Sequence[ConnectionView], before: Totals, elapsed_s: float) -> list[Rated]:
    """Connections with their rates, the busiest first; ``before`` was ``elapsed_s`` ago (0: unknown)."""
    totals = totals_of(views)
    rated = [(view, rate_of(view, totals, before, elapsed_s)) for view in views]
    return sorted(rated, key=lambda each: (-each[1], -totals[each[0].id, each[0].end], each[0].age_s))


def screen(status: Status, peers: Sequence[PeerRow], rated: Sequence[Rated], height: int) -> "RenderableType":
    """All of it, in no more than ``height`` lines as far as that goes."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    me, peers, agents = status.agent, peers[:MAX_PEERS], by_agent(rated)[:MAX_AGENTS]
    rate = sum(rate for _, rate in rated)
    verdict = "ready" if status.ready else "not ready: mesh status says why"
    room = max(1, height - TOP_LINES - len(peers) - len(agents))
    first = f"{escaped(me.name)} {me.short_id}: {verdict}; {len(rated)} connections, {byte_count(rate)}/s"
    return Group(
        Text(first, style="bold", overflow="ellipsis", no_wrap=True),
        Text(),
        _drawn(
            ("peer", "id", "state", "round trip", "address"),
            (
                (
                    peer.name or "?",
                    peer.short_id or "",
                    peer.state,
                    "" if peer.rtt_ms is None else f"{peer.rtt_ms:.1f} ms",
                    peer.address,
                )
                for peer in peers
            ),
        ),
        Text(),
        _drawn(("agent", "connections", "rate"), agents),
        Text(),
        _drawn(("connection", "key", "client", "agents", "age", "bytes", "rate"), busiest(rated[:room])),
    )


def by_agent(rated: Iterable[Rated]) -> list[tuple[str, str, str]]:
    """The agents at the other ends, the busiest first: their connections and rates."""
    counts: dict[str, int] = defaultdict(int)
    rates: dict[str, float] = defaultdict(float)
    for view, rate in rated:
        other = view.ingress if view.end is End.EXIT else view.exit
        counts[other] += 1
        rates[other] += rate
    ordered = sorted(counts, key=lambda other: (-rates[other], -counts[other], other))
    return [(other, str(counts[other]), f"{byte_count(rates[other])}/s") for other in ordered]


def busiest(rated: Iterable[Rated]) -> Iterator[tuple[str, ...]]:
    """A row for each of these connections."""
    for view, rate in rated:
        yield (
            view.id,
            view.key,
            view.client or "(exit)",
            f"{view.ingress} - {view.exit}",
            duration(view.age_s),
            byte_count(view.to_service_bytes + view.to_client_bytes),
            f"{byte_count(rate)}/s",
        )


def _drawn(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> "RenderableType":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        drawn.add_column(title, no_wrap=True, overflow="ellipsis")
    for row in rows:
        drawn.add_row(*(Text(escaped(cell)) for cell in row))
    return drawn
