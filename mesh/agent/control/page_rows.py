"""Lists come in pages: what is asked for, what is answered."""

from collections.abc import Sequence
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from mesh.agent.control.route import Revised

T = TypeVar("T")

MAX_ROWS: Final = 1_000
"""Of a page; the others are in pages that follow."""

MAX_OFFSET: Final = 2**31


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of a list are wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)] = 0


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Rows of a list, as many as were asked for."""

    rows: tuple[T, ...]
    total: int
    """Rows of the whole list."""
    next_offset: int | None
    """Of the next page; ``null`` of the last one."""
    age_s: float
    """How old this is: 0 unless the agent is busy."""


class RevisedPage(Revised, Generic[T], frozen=True, kw_only=True):
    """Rows of what the agent should have, and is."""

    rows: tuple[T, ...]
    total: int
    """Rows of the whole list."""
    next_offset: int | None
    """Of the next page; ``null`` of the last one."""
    age_s: float
    """How old the state of the rows is: 0 unless the agent is busy."""


def page_of(rows: Sequence[T], window: Window, age_s: float) -> Page[T]:
    """Those of ``rows`` that are wanted."""
    wanted, next_offset = _cut(rows, window)
    return Page(wanted, len(rows), next_offset, round(age_s, 3))


def revised_page_of(rows: Sequence[T], window: Window, age_s: float, revision: str) -> RevisedPage[T]:
    """The same of a revision."""
    wanted, next_offset = _cut(rows, window)
    return RevisedPage(
        rows=wanted, total=len(rows), next_offset=next_offset, age_s=round(age_s, 3), revision=revision
    )


def _cut(rows: Sequence[T], window: Window) -> tuple[tuple[T, ...], int | None]:
    end = window.offset + window.limit
    return tuple(rows[window.offset : end]), end if end < len(rows) else None
