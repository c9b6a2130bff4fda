"""``mesh services`` and ``mesh agents``: what a running agent knows of the whole mesh."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

import click

from mesh.agent.cli.asking import Agent, asks_agent_or_all
from mesh.agent.cli.tables import table
from mesh.agent.cli.times import counted, days_left, hops
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.mesh_rows import AgentRow, ListenedRow, OfferRow, ServiceRow
from mesh.agent.control.requests import AGENTS, SERVICES

DAY_S: Final = 86_400

KEYS_SHOWN: Final = 3
"""Of an agent."""


@click.command()
@asks_agent_or_all
def services(agent: Agent) -> None:
    """List every key of the mesh: who offers it, who listens for it and to whom that leads, and why not.

    The agents that offer a key are in the order of their distance from the agent that is asked.

    \b
    mesh services
    mesh services --json
    """
    found = all_rows(agent, SERVICES, ServiceRow)
    agent.tell(found, lambda: "\n".join(_services(found)))


@click.command()
@asks_agent_or_all
def agents(agent: Agent) -> None:
    """List every agent of the mesh: its distance, links and keys, its version, its certificate's end.

    \b
    mesh agents
    mesh agents --json
    """
    found = all_rows(agent, AGENTS, AgentRow)
    agent.tell(found, lambda: "\n".join(_agents(found, time.time())))


def _services(found: Sequence[ServiceRow]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for service in found:
        rows += (_offer(service.key, each) for each in service.offers)
        if more := service.offer_count - len(service.offers):
            rows.append((service.key, "offered by", f"{more:,} more", "", "", ""))
        rows += (_listened(service.key, each) for each in service.listeners)
        if more := service.listener_count - len(service.listeners):
            rows.append((service.key, "listened for by", f"{more:,} more", "", "", ""))
    yield from table(("key", "", "agent", "at", "hops", ""), rows, none="no key is known")


def _offer(key: str, offer: OfferRow) -> tuple[str, ...]:
    distance = "" if offer.hop_count is None else str(offer.hop_count)
    return key, "offered by", offer.agent, offer.target or "", distance, offer.problem or ""


def _listened(key: str, listener: ListenedRow) -> tuple[str, ...]:
    leads_to = listener.problem or ""
    if listener.exit is not None and listener.hop_count is not None:
        leads_to = f"leads to {listener.exit}, {hops(listener.hop_count)}: {' - '.join(listener.path)}"
    return key, "listened for by", listener.agent, listener.address, "", leads_to


def _agents(found: Sequence[AgentRow], now_unix_s: float) -> Iterator[str]:
    rows = [
        (
            each.name,
            each.short_id,
            "out of reach" if each.hop_count is None else str(each.hop_count),
            str(each.links),
            _keys(each),
            str(each.listeners),
            each.version or "?",
            days_left((each.certificate_not_after - now_unix_s) / DAY_S),
            _remark(each),
        )
        for each in sorted(found, key=lambda each: (each.hop_count is None, each.hop_count or 0, each.name))
    ]
    titles = ("agent", "id", "hops", "links", "offers", "listeners", "version", "certificate", "")
    yield from table(titles, rows, none="no agent is known")


def _keys(agent: AgentRow) -> str:
    shown = ", ".join(agent.keys[:KEYS_SHOWN])
    more = agent.endpoints - min(KEYS_SHOWN, len(agent.keys))
    return f"{shown} and {counted(more, 'other')}" if more > 0 else shown


def _remark(agent: AgentRow) -> str:
    remarks = (
        (agent.is_local, "the agent asked"),
        (agent.draining, "draining"),
        (not agent.carries_transit, "carries nobody's traffic"),
    )
    return ", ".join(text for applies, text in remarks if applies)
