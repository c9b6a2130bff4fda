"""How an audit log stands: its heads, to be noted elsewhere, and whether it can be written."""

from collections.abc import Iterator, Sequence

import msgspec

from mesh.agent.audit.chain import Head
from mesh.agent.findings import Finding, FindingKind


class TrailStanding(msgspec.Struct, frozen=True):
    """Of one trail."""

    trail: str
    head: Head
    """Number 0 if nothing has been written since the start."""
    written: int
    """Entries since the start."""
    lost: int
    """Entries since the start that could not be written."""
    trouble: str
    """Why nothing can be written now; empty if it can."""


def audit_warnings(trails: Sequence[TrailStanding]) -> Iterator[Finding]:
    """What somebody should look at."""
    for each in trails:
        if each.trouble:
            yield Finding(
                FindingKind.AUDIT,
                f"the audit log of {each.trail} cannot be written: {each.trouble}; entries lost: {each.lost}",
                "make room on the disk of agent.data_dir, or mend it",
            )
