"""All that the API says of something, however many pages that takes."""

from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from mesh.agent.cli.asking import Agent
from mesh.agent.cli.paging import Rows, all_pages
from mesh.agent.control.client import AgentClient
from mesh.agent.control.own_rows import (
    AuditRow,
    EndpointRow,
    FindingRow,
    ListenerRow,
    OwnAgent,
    PeerRow,
    SocksRow,
    Status,
)
from mesh.agent.control.page_rows import MAX_ROWS
from mesh.agent.control.requests import ENDPOINTS, LISTENERS, PEERS, STATUS

T = TypeVar("T")


def all_rows(agent: Agent, place: str, kind: type[T]) -> list[T]:
    """Every row of the list at ``place``."""
    return wanted_rows(agent.client, place, kind)


def wanted_rows(client: AgentClient, place: str, kind: type[T], **wanted: str) -> list[T]:
    """The same of whoever ``client`` asks; ``wanted`` says which rows."""

    def page_from(offset: int) -> Rows:
        query = urlencode({**wanted, "limit": MAX_ROWS, "offset": offset})
        return client.get(f"{place}?{query}", Rows)

    return all_pages(client, kind, page_from)


class WholeStatus(msgspec.Struct, frozen=True):
    """How an agent is, and all that it has: what ``mesh status --json`` prints."""

    agent: OwnAgent
    ready: bool
    draining: bool
    as_of: datetime
    age_s: float
    findings: tuple[FindingRow, ...]
    peers: list[PeerRow]
    listeners: list[ListenerRow]
    socks: tuple[SocksRow, ...]
    audit: tuple[AuditRow, ...]
    endpoints: list[EndpointRow]


def whole_status(agent: Agent) -> WholeStatus:
    """All of it, in four questions at the least."""
    status = agent.client.get(STATUS, Status)
    return WholeStatus(
        agent=status.agent,
        ready=status.ready,
        draining=status.draining,
        as_of=status.as_of,
        age_s=status.age_s,
        findings=status.findings,
        peers=all_rows(agent, PEERS, PeerRow),
        listeners=all_rows(agent, LISTENERS, ListenerRow),
        socks=status.socks,
        audit=status.audit,
        endpoints=all_rows(agent, ENDPOINTS, EndpointRow),
    )
