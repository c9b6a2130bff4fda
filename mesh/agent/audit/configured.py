"""Writes down what has become of a new configuration."""

from collections.abc import Sequence
from typing import Final

from mesh.agent.audit.behalf import behalf
from mesh.agent.outcome import Outcome, Verdict
from mesh.auditing import Auditing, AuditKind

NAMED: Final = 100
"""Services, keys and problems that one entry names of each kind; of more it gives the number."""

MAX_CHARACTERS: Final = 300
"""Of each name."""


def note_outcome(audit: Auditing, outcome: Outcome) -> None:
    """Write down what differs from now on, or was refused; nothing if nothing differs."""
    lists = {
        "added": outcome.added,
        "changed": outcome.changed,
        "removed": outcome.removed,
        "at_start": outcome.at_start,
        "problems": outcome.problems,
    }
    named = {name: _bounded(each) for name, each in lists.items() if each}
    if named or outcome.verdict is Verdict.REFUSED:
        facts = {**behalf()._asdict(), "verdict": outcome.verdict.value, **named}
        audit.note(AuditKind.CONFIGURATION, facts)


def _bounded(names: Sequence[str]) -> tuple[str, ...]:
    shown = tuple(name[:MAX_CHARACTERS] for name in names[:NAMED])
    return shown if len(names) <= NAMED else (*shown, f"and {len(names) - NAMED} more")
