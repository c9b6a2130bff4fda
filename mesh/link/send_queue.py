"""What waits to be sent on a link, and in which order it goes.

=========================  ==============================================================================
what                       when
=========================  ==============================================================================
PING, PONG, RETIRE,        at once
CLOSE and challenges
control of connections     next, but no more than a quarter of the link while anything else waits
records, pages, digests    next, but no more than a quarter of the link while data waits
DATA, FIN                  the rest, which is at least a half, and all of it while nothing else waits
=========================  ==============================================================================

So nobody can stop data by acknowledgements, connections' control by records, or records by data. How agents
share the lanes of connections is said in ``data_lane.py`` and ``control_lane.py``. A link's own frames are
always taken; the link judges by ``control_bytes`` whether its peer asks for more than it reads.

Limits count memory held, not frame lengths.
"""

from collections import deque
from collections.abc import Container
from typing import Final

from mesh.link.control_lane import DEFAULT_CONTROL_LIMIT_BYTES, ControlLane
from mesh.link.data_lane import FRAME_OVERHEAD_BYTES, DataLane
from mesh.link.frames import FIRST_CONNECTION_TYPE, Frame, FrameType
from mesh.link.relay_budget import RelayBudget
from mesh.trust.identity import AgentId

OTHERS_PER_SHARE: Final = 3
"""Bytes that others send for each byte of a lane that goes before them: it gets a quarter of the link."""
SHARE_BURST_BYTES: Final = 24 * 1024
"""What a lane may send before the others, if it has sent little: some 90 acknowledgements at once, or 16
OPENs. On a thin link a keystroke waits for that as a flood begins, at every agent on its way; but with less
than a third of the largest frame a lane would not get its quarter beside such ones."""


class SendQueue:
    """Frames that wait for one link.

    Args:
        budget: of all links, for data.
        mark_bytes: memory held by data above which data is marked as it leaves.
        own_id: this agent.
        control_limit_bytes: memory that control frames of connections may hold.
    """

    def __init__(
        self,
        budget: RelayBudget,
        mark_bytes: int,
        own_id: AgentId,
        control_limit_bytes: int = DEFAULT_CONTROL_LIMIT_BYTES,
    ) -> None:
        self._budget = budget
        self._urgent: deque[Frame] = deque()
        self._records: deque[Frame] = deque()
        self._own_bytes = 0
        self._control = ControlLane(control_limit_bytes, own_id)
        self._control_credit = self._records_credit = SHARE_BURST_BYTES
        self.data = DataLane(budget, mark_bytes, own_id)
        """What is not told at once: how deep it is says whether it is marked."""
        self.frames = 0
        """Frames that wait, of all kinds; a plain number, for it is looked at with every frame."""
        budget.join(self)

    @property
    def byte_count(self) -> int:
        """Memory held by what waits."""
        return self.control_bytes + self.data.byte_count

    @property
    def data_bytes(self) -> int:
        """Memory held by data."""
        return self.data.byte_count

    @property
    def control_bytes(self) -> int:
        """Memory held by all that is no data."""
        return self._own_bytes + self._control.byte_count

    @property
    def dropped(self) -> int:
        """Frames dropped or not taken, since the start."""
        return self.data.dropped + self._control.dropped

    def know(self, agents: Container[AgentId]) -> None:
        """Give each of these agents a turn of its own, beside this one; all others share one.

        What waits of an agent that was a stranger until now moves to its own turn, so that its order stays.
        """
        self.data.know(agents)
        self._control.know(agents)

    def push(self, frame: Frame) -> None:
        """Let ``frame`` wait for its turn; if a limit is hit, frames are dropped and counted."""
        held = len(frame.body) + FRAME_OVERHEAD_BYTES
        kind = frame.type
        if kind in _DATA_TYPES:
            self.frames += self.data.push(frame, held)
        elif kind >= FIRST_CONNECTION_TYPE:
            if self._control.push(frame, held):
                self.frames += 1
            else:
                self._budget.dropped_frames += 1
        else:
            (self._records if kind in _RECORD_TYPES else self._urgent).append(frame)
            self._own_bytes += held
            self.frames += 1

    def pop_batch(self, max_bytes: int) -> list[Frame]:
        """The next frames to send: about ``max_bytes``, and at least one if any waits."""
        batch: list[Frame] = []
        control, records, data = self._control, self._records, self.data
        held_before = data.byte_count
        room = max_bytes
        while room > 0 and self._urgent:
            room -= self._pop_own(self._urgent, batch)
        while room > 0:
            if control.frames and (self._control_credit > 0 or not (records or data.frames)):
                if records or data.frames:
                    sent = control.pop_into(batch, min(room, self._control_credit))
                    self._control_credit -= sent
                else:
                    sent = control.pop_into(batch, room)
            elif records and (self._records_credit > 0 or not data.frames):
                sent = self._pop_own(records, batch)
                if data.frames:
                    self._records_credit -= sent
                self._control_credit = _credited(self._control_credit, sent)
            elif data.frames:
                sent = data.pop_into(batch, 1 if control.frames or records else room)
                self._control_credit = _credited(self._control_credit, sent)
                self._records_credit = _credited(self._records_credit, sent)
            else:  # the link keeps up
                self._control_credit = self._records_credit = SHARE_BURST_BYTES
                break
            room -= sent
        self._budget.free_bytes += held_before - data.byte_count
        self.frames -= len(batch)
        return batch

    def drop_to(self, byte_count: int) -> None:
        """Drop data until it holds so much, and count it."""
        self.frames -= self.data.drop_to(byte_count)

    def clear(self) -> None:
        """Let go of everything, without counting it as dropped: the link has ended."""
        self._urgent.clear()
        self._records.clear()
        self._control.clear()
        self.data.clear()
        self._own_bytes = self.frames = 0
        self._budget.leave(self)

    def _pop_own(self, lane: deque[Frame], batch: list[Frame]) -> int:
        frame = lane.popleft()
        held = len(frame.body) + FRAME_OVERHEAD_BYTES
        self._own_bytes -= held
        batch.append(frame)
        return held


def _credited(credit: int, sent: int) -> int:
    """The credit of a lane once others have sent so much."""
    return min(SHARE_BURST_BYTES, credit + sent // OTHERS_PER_SHARE)


_DATA_TYPES: Final = frozenset({FrameType.DATA, FrameType.FIN})
_RECORD_TYPES: Final = frozenset({FrameType.RECORDS, FrameType.DIGEST, FrameType.WANT_PAGES, FrameType.PAGES})
