"""What waits to be sent on a link, and in which order it goes.

Frames of the link's own and the control frames of connections go first, in the order of their arrival. Data
and FIN frames wait in a queue for each flow (one direction of one connection), and flows take turns by
deficit round robin [1].

Short frames of a flow that had nothing waiting go early, before all turns [2], as long as the flow has not
used up its turn by them: a keystroke waits for no turn of a bulk transfer, be there one or a thousand, and
gets no more than its share. Long frames never go early, or bulk transfers that keep little waiting would too.

A frame that waits already is not queued again: if a queue takes longer than senders wait for an answer, they
repeat, and their repetitions would fill it.

Limits count memory held, not frame lengths:

- Data beyond the queue's share of the budget of all links: the longest flow loses its tail. Its sender goes
  back and repeats it.
- Control frames of connections beyond ``control_limit_bytes``: the newest is not taken. Their senders repeat
  what matters.
- Frames of the link's own are always taken; the link judges by ``control_bytes`` whether its peer asks for
  more than it reads.

A data frame that leaves while more than ``mark_bytes`` wait is marked: its sender will slow down.

Sources: [1] Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", 1996, in the variant
that lets a flow overdraw by one frame and pays it back, which does not need to look at the next frame; [2]
RFC 8290 section 4.2.
"""

import heapq
from collections import deque
from typing import Final, TypeAlias

from mesh.link.frames import FIRST_CONNECTION_TYPE, MAX_BODY_BYTES, Frame, FrameType
from mesh.link.relay_budget import GREED, RelayBudget
from mesh.trust.identity import AgentId

FRAME_OVERHEAD_BYTES: Final = 200
"""What a waiting frame holds beside its body: two objects, their numbers, a slot in a queue."""
FLOW_OVERHEAD_BYTES: Final = 1200
"""What a flow holds beside its frames: a deque (760 bytes on CPython), its key, slots in two tables."""
QUANTUM_BYTES: Final = MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES
"""Of a flow's turn: one frame of the largest size, so that an overdraft is always paid back in one turn."""
SHORT_BODY_BYTES: Final = 4000
"""Of a frame that may go early: a keystroke, a question, a short answer. Bulk comes in longer segments."""
DEFAULT_CONTROL_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""About 15,000 acknowledgements: far more than wait on a link that moves."""

_SHORT_BYTES: Final = SHORT_BODY_BYTES + FRAME_OVERHEAD_BYTES

_ROOM_FRACTION: Final = 32
"""At its share the queue drops down to 31/32 of it: one search for the longest flow pays for many drops."""

_FlowKey: TypeAlias = tuple[AgentId, AgentId, int, bool]


class _Flow:
    """Data of one direction of one connection."""

    __slots__ = ("byte_count", "credit", "frames", "is_early", "key", "newest")

    def __init__(self, key: _FlowKey, newest: int) -> None:
        self.key = key
        self.newest = newest
        self.frames: deque[Frame] = deque()
        self.byte_count = FLOW_OVERHEAD_BYTES
        self.credit = QUANTUM_BYTES
        self.is_early = False


class SendQueue:
    """Frames that wait for one link.

    Args:
        budget: of all links, for data.
        mark_bytes: memory held by data above which data is marked as it leaves.
        control_limit_bytes: memory held by the control lane above which it takes no more from connections.
    """

    def __init__(
        self,
        budget: RelayBudget,
        mark_bytes: int,
        control_limit_bytes: int = DEFAULT_CONTROL_LIMIT_BYTES,
    ) -> None:
        self._budget = budget
        self.mark_bytes = mark_bytes
        """Memory held by data above which data is marked as it leaves; it may follow the link's pace."""
        self._control_limit_bytes = control_limit_bytes
        self._control: deque[Frame] = deque()
        self._control_bytes = 0
        self._flows: dict[_FlowKey, _Flow] = {}
        self._turns: deque[_Flow] = deque()  # all flows; the one at the left is the one whose turn it is
        self._early: deque[_Flow] = deque()  # those of them whose next frame goes before all turns
        self._data_bytes = 0
        self._data_frames = 0
        self.frames = 0
        """Frames that wait, of both kinds; a plain number, for it is looked at with every frame."""
        self._dropped = 0

    @property
    def byte_count(self) -> int:
        """Memory held by what waits."""
        return self._control_bytes + self._data_bytes

    @property
    def control_bytes(self) -> int:
        """Memory held by the control lane."""
        return self._control_bytes

    @property
    def dropped(self) -> int:
        """Frames dropped or not taken, since the start."""
        return self._dropped

    def push(self, frame: Frame) -> None:
        """Let ``frame`` wait for its turn; if a limit is hit, frames are dropped and counted."""
        held = len(frame.body) + FRAME_OVERHEAD_BYTES
        if frame.type not in _DATA_TYPES:
            self._push_control(frame, held)
            return
        key = (frame.source, frame.destination, frame.connection, frame.from_exit)
        flow = self._flows.get(key)
        budget = self._budget
        if flow is None:
            flow = self._flows[key] = _Flow(key, frame.number)
            self._turns.append(flow)
            self._data_bytes += FLOW_OVERHEAD_BYTES
            budget.free_bytes -= FLOW_OVERHEAD_BYTES
        elif frame.number > flow.newest:
            flow.newest = frame.number
        elif _waits(flow.frames, frame):
            return
        frames = flow.frames
        if self._data_frames and not frames and held <= _SHORT_BYTES and flow.credit > 0:
            flow.is_early = True
            self._early.append(flow)
        frames.append(frame)
        flow.byte_count += held
        self._data_bytes += held
        self._data_frames += 1
        self.frames += 1
        budget.free_bytes -= held
        if self._data_bytes > GREED * budget.free_bytes:
            self._make_room()

    def pop_batch(self, max_bytes: int) -> list[Frame]:
        """The next frames to send: about ``max_bytes``, and at least one if any waits."""
        batch: list[Frame] = []
        room = max_bytes
        while room > 0 and self._control:
            frame = self._control.popleft()
            held = len(frame.body) + FRAME_OVERHEAD_BYTES
            self._control_bytes -= held
            room -= held
            batch.append(frame)
        if self._data_frames and room > 0:
            held_before = self._data_bytes
            while room > 0 and self._data_frames:
                frame = self._pop_data()
                room -= len(frame.body) + FRAME_OVERHEAD_BYTES
                batch.append(frame)
            self._budget.free_bytes += held_before - self._data_bytes
        self.frames -= len(batch)
        return batch

    def clear(self) -> None:
        """Let go of everything, without counting it as dropped: the link has ended."""
        self._control.clear()
        self._control_bytes = 0
        self._budget.free_bytes += self._data_bytes
        self._data_frames = self.frames = 0
        self._forget_flows()

    def _push_control(self, frame: Frame, held: int) -> None:
        of_connection = frame.type >= FIRST_CONNECTION_TYPE
        if of_connection and self._control_bytes + held > self._control_limit_bytes:
            self._count_drop()
            return
        self._control.append(frame)
        self._control_bytes += held
        self.frames += 1

    def _pop_data(self) -> Frame:
        early = self._early
        flow = early.popleft() if early else self._flow_in_turn()
        frames = flow.frames
        frame = frames.popleft()
        if self._data_bytes > self.mark_bytes and not frame.marked:
            frame = frame.with_mark()
        held = len(frame.body) + FRAME_OVERHEAD_BYTES
        flow.byte_count -= held
        flow.credit -= held
        self._data_bytes -= held
        self._data_frames -= 1
        if not self._data_frames:
            self._forget_flows()
        elif flow.is_early:
            flow.is_early = len(frames) > 0 and flow.credit > 0 and len(frames[0].body) <= SHORT_BODY_BYTES
            if flow.is_early:
                early.append(flow)
        return frame

    def _flow_in_turn(self) -> _Flow:
        """The flow whose turn it is; some flow has a frame, and none goes early."""
        turns = self._turns
        while True:
            flow = turns[0]
            if flow.credit <= 0:
                flow.credit += QUANTUM_BYTES
                turns.rotate(-1)
            elif flow.frames:
                return flow
            else:
                # Forgotten only in its turn: else it could come back with new credit for ever.
                turns.popleft()
                del self._flows[flow.key]
                self._data_bytes -= FLOW_OVERHEAD_BYTES

    def _forget_flows(self) -> None:
        self._flows.clear()
        self._early.clear()
        self._turns.clear()
        self._data_bytes = 0

    def _make_room(self) -> None:
        """Drop tails, always of the longest flow, and forget the flows that are empty."""
        share_bytes = self._budget.share_bytes(self._data_bytes)
        target_bytes = share_bytes - share_bytes // _ROOM_FRACTION
        waiting = [flow for flow in self._flows.values() if flow.frames]
        byte_count = sum(flow.byte_count for flow in waiting)
        longest = [(-flow.byte_count, order, flow) for order, flow in enumerate(waiting)]
        heapq.heapify(longest)
        while byte_count > target_bytes:
            _, order, flow = longest[0]
            held = len(flow.frames.pop().body) + FRAME_OVERHEAD_BYTES
            flow.byte_count -= held
            byte_count -= held
            self._data_frames -= 1
            self.frames -= 1
            self._count_drop()
            if flow.frames:
                heapq.heapreplace(longest, (-flow.byte_count, order, flow))
            else:
                heapq.heappop(longest)
                byte_count -= FLOW_OVERHEAD_BYTES
        self._budget.free_bytes += self._data_bytes - byte_count
        self._data_bytes = byte_count
        self._flows = {key: flow for key, flow in self._flows.items() if flow.frames}
        self._early = deque(flow for flow in self._early if flow.frames)
        self._turns = deque(flow for flow in self._turns if flow.frames)

    def _count_drop(self) -> None:
        self._dropped += 1
        self._budget.dropped_frames += 1


def _waits(frames: deque[Frame], repetition: Frame) -> bool:
    """Whether the same bytes wait already, in their place in a row; a gap hides what is behind it."""
    place = repetition.number - frames[0].number if frames else -1
    if not 0 <= place < len(frames):
        return False
    waiting = frames[place]
    return waiting.number == repetition.number and waiting.body == repetition.body


_DATA_TYPES: Final = frozenset({FrameType.DATA, FrameType.FIN})
