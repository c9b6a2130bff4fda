"""What is said of two running agents with one identity key, and how often."""

import logging
from math import inf
from typing import Final

from actors.messages.peer_directory import LinkEstablished
from actors.meters import Meters
from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.routing.notices import OWN_KEY_REMEDY
from mesh.sampling import alarming
from mesh.trust.naming import named

log = logging.getLogger("mesh.links")

TWIN_WARNING_S: Final = 60.0
"""How long the warning of another agent with this agent's identity stays after the latest sign of it. While
that runs it dials again every few seconds, and each time is a sign."""

MAX_REPORTED: Final = 1024
"""Static keys of duplicates that are remembered: each dials again for ever, and is reported once."""

DUPLICATE: Final = f"duplicate identity: another running agent has this identity key; {OWN_KEY_REMEDY}"
"""What the second of two is told."""

_TWIN: Final = f"another running agent has this agent's identity key, and is refused; {OWN_KEY_REMEDY}"


class Twins:
    """Counts the signs of such agents and tells of them; times are monotonic seconds.

    Args:
        meters: of the agent.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._reported: dict[bytes, None] = {}
        """Static keys of those that have been reported, the oldest first."""
        self._warned_until = -inf

    def met_own(self, now: float) -> None:
        """There is a sign of another running agent with this agent's identity."""
        self._warned_until = now + TWIN_WARNING_S

    def warnings(self, now: float) -> tuple[str, ...]:
        """What an operator should look at, for people."""
        return (_TWIN,) if now < self._warned_until else ()

    def report(self, newcomer: LinkEstablished, present: LinkEstablished) -> None:
        """A peer runs twice: say so once, count it each time."""
        member = named(newcomer.peer_name, newcomer.peer_id)
        self._meters.alarms.count(AlarmKind.IDENTITY, member)
        if newcomer.peer_static in self._reported:
            return
        if len(self._reported) >= MAX_REPORTED:
            del self._reported[next(iter(self._reported))]
        self._reported[newcomer.peer_static] = None
        log.error(
            "duplicate identity: %(peer)s runs at %(address)s and at %(second)s; the second is refused",
            {"peer": member, "address": present.address, "second": newcomer.address},
            extra=alarming(AlarmKind.IDENTITY, member),
        )

    def contested(self, by: LinkEstablished, now: float, *, is_told: bool) -> None:
        """A peer has met another instance of this agent; ``is_told`` of it already."""
        self._meters.alarms.count(AlarmKind.IDENTITY, THIS_AGENT)
        self.met_own(now)
        if not is_told:
            log.error(
                "duplicate identity: another running agent has this agent's identity key; "
                "%(peer)s has met it",
                {"peer": named(by.peer_name, by.peer_id)},
                extra=alarming(AlarmKind.IDENTITY, THIS_AGENT),
            )
