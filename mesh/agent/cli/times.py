"""Times and counts as commands tell them."""

from datetime import UTC, datetime
from typing import Final

SHORT_DAYS: Final = 3
"""Fewer are told in hours."""

UNITS: Final = (("days", 86_400), ("h", 3_600), ("min", 60))


def moment(at: datetime) -> str:
    """A time to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M UTC}"


def days_left(days: float) -> str:
    """How long something is good for."""
    if days <= 0:
        return "which is over"
    return f"{days:,.0f} days left" if days >= SHORT_DAYS else f"{days * 24:.1f} hours left"


def span(begin: datetime, end: datetime) -> str:
    """How long it is from ``begin`` to ``end``, in the unit that people would take."""
    seconds = max(0.0, (end - begin).total_seconds())
    for unit, length_s in UNITS:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def hops(count: int) -> str:
    """Links in between."""
    return counted(count, "hop")


def counted(count: int, noun: str) -> str:
    """``1 hop``, ``2 hops``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
