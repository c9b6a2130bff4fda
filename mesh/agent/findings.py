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


class FindingKind(enum.StrEnum):
    """What a finding is about, for programs: metrics have a series for each."""

    PHASE = "phase"
    """The agent is starting, or leaving."""
    DRAINING = "draining"
    CERTIFICATE = "certificate"
    """The agent's own is not valid, ends soon, or another one cannot be used."""
    CONFIGURATION = "configuration"
    """The configuration was refused when it was last read again."""
    TLS = "tls"
    """That of ``http.tls`` ends soon, or has."""
    REVOKED = "revoked"
    """The agent, or its issuer, was revoked."""
    GRANT = "grant"
    """The certificate does not permit what is configured."""
    IDENTITY = "identity"
    """Another agent had this agent's identity, or has a peer's."""
    NAME = "name"
    """Agents have the same name."""
    PEERS = "peers"
    """There is no link, and there should be one."""
    RECORD = "record"
    """What the mesh is told of this agent is not all, or too much, or another one speaks in its name."""
    DESCRIPTORS = "descriptors"
    LISTENER = "listener"
    """A listener has no port."""
    REFUSING = "refusing"
    """The last clients of a key found nobody to serve them."""
    ENDPOINT = "endpoint"
    """An endpoint is withdrawn: its target fails its health check."""
    ACCEPTOR = "acceptor"
    """Peers cannot come in: an acceptor has no port."""
    SOCKS = "socks"
    """A SOCKS listener has no port."""
    AUDIT = "audit"
    """The audit log cannot be written."""
    STATUS = "status"
    """The actors do not answer."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    kind: FindingKind
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


def some_alike(findings: Sequence[Finding], things: str) -> tuple[Finding, ...]:
    """The first of them, and how many more there are.

    Args:
        findings: all of one kind.
        things: what they are about, in the plural.
    """
    more = len(findings) - MAX_ALIKE
    if more <= 0:
        return tuple(findings)
    rest = Finding(findings[0].kind, f"the same is true of {more:,} more {things}")
    return (*findings[:MAX_ALIKE], rest)


def plain(kind: FindingKind, lines: Sequence[str]) -> tuple[Finding, ...]:
    """Findings of lines that say what to do themselves."""
    return tuple(Finding(kind, line) for line in lines)
