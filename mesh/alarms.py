"""What one member of the mesh does to another and people must hear of: its kinds, and how often it happened.

Noise of one kind by one member hides neither another kind nor another member: each pair is counted,
remembered and written to the log on its own. Members are those that hold a certificate, so there are as many
as the authorities let in; beyond ``MAX_MEMBERS`` those whose last alarm is the longest ago are no longer told
apart.
"""

import enum
from itertools import islice
from typing import Final, NamedTuple

MAX_MEMBERS: Final = 4_096
"""Members that are counted on their own, for each kind."""

_FOLDED_AT_ONCE: Final = MAX_MEMBERS // 4
"""Members that become others when there is no room for one more: so that it is seldom looked for them."""

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
        self._latest: dict[AlarmKind, dict[str, None]] = {kind: {} for kind in AlarmKind}
        """Members in the order of their last alarms."""

    def count(self, kind: AlarmKind, member: str, times: int = 1) -> None:
        """It happened again, or ``times`` more."""
        latest = self._latest[kind]
        if member in latest:
            del latest[member]
        elif len(latest) >= MAX_MEMBERS:
            self._fold(kind)
        latest[member] = None
        counts = self._counts[kind]
        counts[member] = counts.get(member, 0) + times

    def _fold(self, kind: AlarmKind) -> None:
        """Let the quietest members be others. Whoever reads sees what was before or what is then."""
        latest, counts = self._latest[kind], dict(self._counts[kind])
        counts.setdefault(OTHERS, 0)
        for member in tuple(islice(latest, _FOLDED_AT_ONCE)):
            del latest[member]
            counts[OTHERS] += counts.pop(member)
        self._counts[kind] = counts

    def counts(self) -> tuple[AlarmCount, ...]:
        """All that has happened, by kind; of each kind in the order of the members' first alarms."""
        return tuple(
            AlarmCount(kind, member, times)
            for kind, counts in self._counts.items()
            for member, times in tuple(counts.items())  # at once: another thread may add to them
        )
