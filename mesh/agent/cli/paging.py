"""Lists in pages, of an agent that may be anybody's: whatever it answers, a command comes to an end."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from mesh.agent.control.client import AgentClient, NotUnderstood

LIST_S: Final = 180.0
"""For all pages of one list; one more that is under way then may last a minute longer."""

T = TypeVar("T")


class Rows(msgspec.Struct, frozen=True):
    """A page of any list."""

    rows: tuple[msgspec.Raw, ...]
    next_offset: int | None
    """Where the next page begins; ``None`` of the last one."""


def all_pages(client: AgentClient, kind: type[T], page_from: Callable[[int], Rows]) -> list[T]:
    """Every row of a list.

    Args:
        client: reads what was answered.
        kind: of a row.
        page_from: asks for the page that begins there; 0 is the first.

    Raises:
        NotUnderstood: it does not end, or is longer than any.
    """
    found: list[T] = []
    offset, byte_count, ends_at = 0, 0, time.monotonic() + LIST_S
    while True:
        page = page_from(offset)
        byte_count += sum(len(memoryview(row)) for row in page.rows)
        if byte_count > client.list_bytes:
            raise NotUnderstood(f"the agent answers with a list of more than {client.list_bytes:,} bytes")
        found += (client.understood(row, kind) for row in page.rows)
        following = page.next_offset
        if following is None:
            return found
        if following <= offset:
            raise NotUnderstood(f"the agent answers with a list whose page {offset} leads to {following}")
        if time.monotonic() >= ends_at:
            raise NotUnderstood(f"the agent answers with a list that has not ended after {LIST_S:g} s")
        offset = following
