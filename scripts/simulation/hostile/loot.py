"""What a hostile member has seen on its links, to use it against others."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mesh.link.bodies import WireRecord
from mesh.link.frames import FIRST_CONNECTION_TYPE, Frame
from mesh.trust.identity import AgentId

MOST_HELD: Final = 200
"""Frames, and records, that are kept: the first ones and the newest."""

Pair = tuple[AgentId, AgentId]
"""Two agents, whose order means nothing."""

_Likeness = tuple[int, bool, AgentId, AgentId, int, int, bytes]
"""All of a frame that stays the same on its way."""


@dataclass
class Loot:
    """Frames and records that came by."""

    frames: list[Frame] = field(default_factory=list)
    records: list[WireRecord] = field(default_factory=list)
    given: dict[Pair, list[float]] = field(default_factory=dict)
    """When it was given something to pass on, by the ends between which that was to go."""
    sent: set[_Likeness] = field(default_factory=set)
    """What it has sent in the name of others."""

    def take_frames(self, frames: list[Frame]) -> None:
        """Frames that somebody wanted passed on, and that it has read."""
        for frame in frames:
            if frame.type >= FIRST_CONNECTION_TYPE:
                _keep(self.frames, frame)

    def note_given(self, frames: Iterable[Frame], now: float) -> None:
        """Frames that another agent hands to a link to the member, whether it reads them or not.

        Its own that come back to it say nothing of where those go that it pretends to be.
        """
        for frame in frames:
            if likeness_of(frame) not in self.sent:
                self.given.setdefault(pair_of(frame.source, frame.destination), []).append(now)

    def note_sent(self, frame: Frame) -> None:
        """A frame in the name of another that it sends of its own accord."""
        self.sent.add(likeness_of(frame))

    def take_records(self, records: tuple[WireRecord, ...]) -> None:
        """Records that a peer sent."""
        for record in records:
            _keep(self.records, record)

    def was_given(self, one: AgentId, other: AgentId, since_s: float, until_s: float) -> bool:
        """Whether it was given something to pass on between two agents in that time."""
        return any(since_s <= at <= until_s for at in self.given.get(pair_of(one, other), ()))


def pair_of(one: AgentId, other: AgentId) -> Pair:
    """Two agents in either order."""
    return (one, other) if one < other else (other, one)


def likeness_of(frame: Frame) -> _Likeness:
    """What two copies of a frame have in common."""
    return (
        frame.type,
        frame.from_exit,
        frame.source,
        frame.destination,
        frame.connection,
        frame.number,
        frame.body,
    )


def _keep(held: list[object], one: object) -> None:
    if len(held) >= MOST_HELD:
        del held[MOST_HELD // 2]
    held.append(one)
