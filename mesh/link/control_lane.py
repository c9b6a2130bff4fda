"""Control frames of connections that wait for one link: the agents that they come from take turns.

A source may hold as much as the lane has left for others, so that a newcomer always finds room, whatever
others send; the newest frame of one that holds more is not taken. Who sent it repeats what matters. Sources
that this agent knows no way to share one place, for a relay can make up as many as it likes. So do all frames
that one peer has brought astray (``mesh/routing/straying.py``), whatever sources they name.
"""

from collections import deque
from collections.abc import Container
from typing import Final

from mesh.link.data_lane import FRAME_OVERHEAD_BYTES
from mesh.link.frames import Frame
from mesh.trust.identity import NO_AGENT, AgentId

DEFAULT_CONTROL_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""About 15,000 acknowledgements: far more than wait on a link that moves. One source may have half of it."""
CONTROL_TURN_BYTES: Final = 4096
"""Of a source's turn: more than the largest of these frames holds."""
CONTROL_SOURCE_BYTES: Final = 1000
"""What a source holds beside its frames: a deque, an object, slots in two tables."""


class _Source:
    __slots__ = ("byte_count", "credit", "frames", "turn")

    def __init__(self, turn: bytes) -> None:
        self.turn = turn
        self.frames: deque[Frame] = deque()
        self.byte_count = CONTROL_SOURCE_BYTES
        self.credit = CONTROL_TURN_BYTES


class ControlLane:
    """OPEN, ACCEPT, REJECT, ACK, RESET, PROBE and UNKNOWN, and what may be skipped, each agent's in order.

    Args:
        limit_bytes: memory that the lane may hold.
        own_id: this agent.
    """

    def __init__(self, limit_bytes: int, own_id: AgentId) -> None:
        self._limit_bytes = limit_bytes
        self._own_id = own_id
        self._known: Container[AgentId] = frozenset()
        self._sources: dict[bytes, _Source] = {}
        self._turns: deque[_Source] = deque()
        self.frames = 0
        """Frames that wait."""
        self.byte_count = 0
        """Memory held."""
        self.dropped = 0

    def know(self, agents: Container[AgentId]) -> None:
        """Give each of these a turn of its own, beside this one, and move there what waits of it."""
        self._known = agents
        strangers = self._sources.get(NO_AGENT)
        if strangers is None:
            return
        waiting, strangers.frames = strangers.frames, deque()
        for frame in waiting:
            source = self._sources.get(frame.source) or self._source_of(frame)
            if source is not strangers:
                if not source.frames:
                    self._sources[source.turn] = source
                    self._turns.append(source)
                    self.byte_count += CONTROL_SOURCE_BYTES
                held = len(frame.body) + FRAME_OVERHEAD_BYTES
                source.byte_count += held
                strangers.byte_count -= held
            source.frames.append(frame)
        if not strangers.frames:
            self._turns.remove(strangers)
            del self._sources[NO_AGENT]
            self.byte_count -= CONTROL_SOURCE_BYTES

    def push(self, frame: Frame, held: int) -> bool:
        """Let ``frame`` wait, of which ``held`` bytes of memory are held; whether it is taken."""
        source = self._sources.get(frame.astray or frame.source) or self._source_of(frame)
        if source.byte_count + held > self._limit_bytes - self.byte_count:
            self.dropped += 1
            return False
        if not source.frames:
            self._sources[source.turn] = source
            self._turns.append(source)
            self.byte_count += CONTROL_SOURCE_BYTES
        source.frames.append(frame)
        source.byte_count += held
        self.byte_count += held
        self.frames += 1
        return True

    def pop_into(self, batch: list[Frame], room: int) -> int:
        """Move the next frames to ``batch`` until they held ``room`` bytes or more; how many that were."""
        turns, left = self._turns, room
        while left > 0 and turns:
            source = turns[0]
            frames = source.frames
            before = left
            while left > 0 and frames and source.credit > 0:
                frame = frames.popleft()
                batch.append(frame)
                held = len(frame.body) + FRAME_OVERHEAD_BYTES
                source.credit -= held
                left -= held
                self.frames -= 1
            source.byte_count -= before - left
            self.byte_count -= before - left
            if not frames:
                turns.popleft()
                del self._sources[source.turn]
                self.byte_count -= CONTROL_SOURCE_BYTES
            elif source.credit <= 0:
                source.credit += CONTROL_TURN_BYTES
                turns.rotate(-1)
        return room - left

    def clear(self) -> None:
        """Let go of everything: the link has ended."""
        self._sources.clear()
        self._turns.clear()
        self.byte_count = self.frames = 0

    def _source_of(self, frame: Frame) -> _Source:
        """A source that has nothing waiting, or that of all strangers."""
        turn: bytes = frame.astray
        if not turn:
            agent = frame.source
            turn = agent if agent == self._own_id or agent in self._known else NO_AGENT
        return self._sources.get(turn) or _Source(turn)
