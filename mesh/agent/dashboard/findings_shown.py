"""Findings as ``/ready`` and the document show them."""

from collections.abc import Sequence
from datetime import datetime

from mesh.agent.findings import Finding, Severity, time_of


def findings_shown(problems: Sequence[Finding], warnings: Sequence[Finding]) -> list[dict[str, object]]:
    """All of them, the problems first, for a JSON encoder."""
    return [
        {
            "severity": severity,
            "what": finding.what,
            "remedy": finding.remedy,
            "since": shown_time(finding.since_unix_s),
        }
        for severity, found in ((Severity.PROBLEM, problems), (Severity.WARNING, warnings))
        for finding in found
    ]


def shown_time(unix_s: float | None) -> datetime | None:
    """A time to the second."""
    return None if unix_s is None else time_of(unix_s)
