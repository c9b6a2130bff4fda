"""What a hostile member has seen on its links, to use it against others."""

from dataclasses import dataclass, field
from typing import Final

from mesh.link.bodies import WireRecord
from mesh.link.frames import FIRST_CONNECTION_TYPE, Frame
from mesh.trust.identity import AgentId

MOST_HELD: Final = 200
"""Frames, and records, that are kept: the first ones and the newest."""

Pair = tuple[AgentId, AgentId]
"""Two agents, whose order means nothing."""


@dataclass
class Loot:
    """Frames and records that came by."""

    frames: list[Frame] = field(default_factory=list)
    records: list[WireRecord] = field(default_factory=list)
    carried: dict[Pair, list[float]] = field(default_factory=dict)
    """When it was given something to pass on, by the ends between which that was to go."""

    def take_frames(self, frames: list[Frame], now: float) -> None:
        """Frames that somebody wanted passed on."""
        for frame in frames:
            if frame.type >= FIRST_CONNECTION_TYPE:
                _keep(self.frames, frame)
                self.carried.setdefault(pair_of(frame.source, frame.destination), []).append(now)

    def take_records(self, records: tuple[WireRecord, ...]) -> None:
        """Records that a peer sent."""
        for record in records:
            _keep(self.records, record)

    def has_carried(self, one: AgentId, other: AgentId, since_s: float, until_s: float) -> bool:
        """Whether it was given something to pass on between two agents in that time."""
        return any(since_s <= at <= until_s for at in self.carried.get(pair_of(one, other), ()))


def pair_of(one: AgentId, other: AgentId) -> Pair:
    """Two agents in either order."""
    return (one, other) if one < other else (other, one)


def _keep(held: list[object], one: object) -> None:
    if len(held) >= MOST_HELD:
        del held[MOST_HELD // 2]
    held.append(one)
