"""What is wrong with a running agent: what, since when, and what to do.

One list of these is what ``/ready``, the page, ``mesh status`` and the metrics show; nothing else decides
whether an agent is ready.
"""

import enum
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

MAX_ALIKE: Final = 8
"""Findings of one kind that are told one by one; the rest is a number."""


class Severity(enum.StrEnum):
    """What a finding means."""

    PROBLEM = "problem"
    """The agent is not ready."""
    WARNING = "warning"
    """Somebody should look at it, though the agent serves."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    what: str
    remedy: str = ""
    """What to do; nothing if it is plain, or stands in ``what``."""
    since_unix_s: float | None = None
    """Unix seconds; ``None`` if nobody knows."""

    @property
    def text(self) -> str:
        """What is wrong and what to do, the same as long as that is."""
        return f"{self.what}{self.remedy and f'; {self.remedy}'}"

    def line(self) -> str:
        """All of it in one line, for people."""
        since = "" if self.since_unix_s is None else f" (since {moment(self.since_unix_s)})"
        return f"{self.what}{since}{self.remedy and f'; {self.remedy}'}"


def moment(unix_s: float) -> str:
    """A time for people, to the second."""
    return f"{time_of(unix_s):%Y-%m-%d %H:%M:%S} UTC"


def time_of(unix_s: float) -> datetime:
    """A time to the second, as JSON shows it."""
    return datetime.fromtimestamp(int(unix_s), UTC)


def some_alike(findings: Sequence[Finding], kind: str) -> tuple[Finding, ...]:
    """The first of them, and how many more there are.

    Args:
        findings: all of one kind.
        kind: what they are about, in the plural.
    """
    more = len(findings) - MAX_ALIKE
    if more <= 0:
        return tuple(findings)
    return (*findings[:MAX_ALIKE], Finding(f"the same is true of {more:,} more {kind}"))


def plain(lines: Sequence[str], since_unix_s: float | None = None) -> tuple[Finding, ...]:
    """Findings of lines that say what to do themselves."""
    return tuple(Finding(line, since_unix_s=since_unix_s) for line in lines)
