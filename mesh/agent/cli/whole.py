"""All that the API says of something, however many pages that takes."""

from datetime import datetime
from typing import Final, TypeVar

import msgspec

from mesh.agent.cli.asking import Agent
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
from mesh.agent.control.requests import ENDPOINTS, LISTENERS, PEERS, STATUS

PAGE_ROWS: Final = 1_000

T = TypeVar("T")


class _Rows(msgspec.Struct, frozen=True):
    """A page of any list."""

    rows: tuple[msgspec.Raw, ...]
    next_offset: int | None


def all_rows(agent: Agent, place: str, kind: type[T]) -> list[T]:
    """Every row of the list at ``place``."""
    found: list[T] = []
    offset: int | None = 0
    while offset is not None:
        page = agent.client.get(f"{place}?limit={PAGE_ROWS}&offset={offset}", _Rows)
        found += (agent.client.understood(row, kind) for row in page.rows)
        offset = page.next_offset
    return found


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
