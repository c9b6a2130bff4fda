"""``mesh connections``: who is connected through a running agent, and closing one of them."""

import time
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.following import Patience, rounds, until_interrupted
from mesh.agent.cli.paging import Rows, all_pages
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.tables import table
from mesh.agent.control.requests import CONNECTIONS
from mesh.connection.endings import ConnectionView, End

PAGE: Final = 200

ID_DIGITS: Final = 12

MEASURED_S: Final = 0.5
"""Between the two looks that give a rate."""

EVERY_S: Final = 2.0

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400

Totals = dict[tuple[str, End], int]
"""Bytes of each end, both ways together."""


@click.command()
@click.option("--follow", "-f", is_flag=True, help=f"Say it again each {EVERY_S:g} seconds, until Ctrl-C.")
@click.option(
    "--close",
    "closed",
    metavar="ID",
    shell_complete=completing.connections,
    help="Reset this connection, at both of its ends.",
)
@asks_agent
def connections(agent: Agent, *, follow: bool, closed: str | None) -> None:
    """List the open connections of which a running agent is an end: client, key, agents, bytes and rate.

    --follow waits for an agent that is started anew, for a minute at most.

    \b
    mesh connections
    mesh connections --close 1f0c9a2b7d3e
    """
    if closed is not None:
        agent.client.delete(f"{CONNECTIONS}/{_checked(closed)}")
        agent.tell({"closed": closed}, lambda: f"connection {closed}: closed")
        return
    patience = Patience(lambda text: click.echo(text, err=True), follows=follow)
    with until_interrupted():
        if agent.as_json:
            for _ in rounds(EVERY_S, again=follow):
                agent.tell(patience.ask(lambda: open_connections(agent)), str)
            return
        before = totals_of(open_connections(agent))
        time.sleep(MEASURED_S)
        for past_s in rounds(EVERY_S, again=follow):
            views = patience.ask(lambda: open_connections(agent))
            rows = rows_of(views, before, past_s or MEASURED_S)
            say("\n".join(table(TITLES, rows, none="no connection is open")))
            before = totals_of(views)


TITLES: Final = ("id", "key", "client", "agents", "target", "age", "to service", "to client", "rate")


class _Page(msgspec.Struct, frozen=True):
    """As :class:`~mesh.agent.control.happenings.ConnectionPage`."""

    connections: tuple[msgspec.Raw, ...]
    next: int | None


def open_connections(agent: Agent) -> list[ConnectionView]:
    """All that are open, page by page."""

    def page_from(after: int) -> Rows:
        page = agent.client.get(f"{CONNECTIONS}?after={after}&limit={PAGE}", _Page)
        return Rows(page.connections, page.next)

    return all_pages(agent.client, ConnectionView, page_from)


def totals_of(views: Sequence[ConnectionView]) -> Totals:
    """The bytes of each."""
    return {(view.id, view.end): view.to_service_bytes + view.to_client_bytes for view in views}


def rows_of(views: list[ConnectionView], before: Totals, elapsed_s: float) -> list[tuple[str, ...]]:
    """What people read of each; ``before`` was ``elapsed_s`` ago."""
    totals = totals_of(views)
    return [
        (
            view.id,
            view.key,
            view.client or f"({view.end.value})",
            f"{view.ingress} - {view.exit}",
            view.target or "",
            duration(view.age_s),
            byte_count(view.to_service_bytes),
            byte_count(view.to_client_bytes),
            f"{byte_count(rate_of(view, totals, before, elapsed_s))}/s",
        )
        for view in views
    ]


def rate_of(view: ConnectionView, totals: Totals, before: Totals, elapsed_s: float) -> float:
    """Bytes a second, both ways together; one that is new had none before."""
    place = view.id, view.end
    past_s = min(elapsed_s, view.age_s) if place not in before else elapsed_s
    return max(0, totals[place] - before.get(place, 0)) / past_s if past_s else 0.0


def byte_count(amount: float) -> str:
    """So many bytes, for people: ``1.5 MB``."""
    for unit in _UNITS:
        if amount < _STEP or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= _STEP else f"{amount:.1f} {unit}"
        amount /= _STEP
    raise AssertionError


def duration(seconds: float) -> str:
    """So long, for people: ``3 d 4 h``, ``5 min 6 s``, ``1.2 s``."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def _checked(connection_id: str) -> str:
    """An ID as it stands in a URL.

    Raises:
        click.BadParameter: it is none.
    """
    is_one = len(connection_id) == ID_DIGITS and not connection_id.strip("0123456789abcdef")
    if not is_one:
        raise click.BadParameter(f"expected {ID_DIGITS} hex digits as mesh connections shows them")
    return connection_id
