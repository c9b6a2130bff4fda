"""What one member of the mesh does to another and people must hear of: its kinds, and how often it happened.

Noise of one kind by one member hides neither another kind nor another member: each pair is counted,
remembered and written to the log on its own. Members are those that hold a certificate, so there are as many
as the authorities let in; beyond ``MAX_MEMBERS`` they share what is left.
"""

import enum
from typing import Final, NamedTuple

MAX_MEMBERS: Final = 4_096
"""Members that are counted on their own, for each kind."""

OTHERS: Final = "others"
"""Stands for those there is no room for."""

THIS_AGENT: Final = "this agent"
"""Stands for a member where an alarm is about the agent that raises it."""


class AlarmKind(enum.StrEnum):
    """What happened; the names are those of logs, metrics and the dashboard."""

    IDENTITY = "identity"
    """Two running agents have one identity."""
    TAMPERING = "tampering"
    """Something is not what its sender sealed, signed or named."""
    GRANT = "grant"
    """An agent asks for what its certificate does not permit."""
    CERTIFICATE = "certificate"
    """A certificate does not admit its agent here."""
    CLOCK = "clock"
    """A record says that it is of a time to come."""
    EXCESS = "excess"
    """A peer passes on more of an agent's records than that agent may make others carry."""
    FULL = "full"
    """There is no room for what an agent says."""
    OWN = "own"
    """This agent itself cannot do all that it was told to."""


class AlarmCount(NamedTuple):
    """How often one kind of thing happened by way of one member."""

    kind: AlarmKind
    member: str
    """As logs name it."""
    times: int


class AlarmBook:
    """Counts alarms by kind and member; one thread writes, others may read."""

    def __init__(self) -> None:
        self._counts: dict[AlarmKind, dict[str, int]] = {kind: {} for kind in AlarmKind}

    def count(self, kind: AlarmKind, member: str, times: int = 1) -> None:
        """It happened again, or ``times`` more."""
        counts = self._counts[kind]
        if member not in counts and len(counts) >= MAX_MEMBERS:
            member = OTHERS
        counts[member] = counts.get(member, 0) + times

    def counts(self) -> tuple[AlarmCount, ...]:
        """All that has happened, by kind; of each kind in the order of the members' first alarms."""
        return tuple(
            AlarmCount(kind, member, times)
            for kind, counts in self._counts.items()
            for member, times in tuple(counts.items())  # at once: another thread may add to them
        )
