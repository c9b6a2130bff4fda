"""What waits to be sent on a link, and in which order it goes.

Frames of the link's own and the control frames of connections go first, in the order of their arrival. Data
and FIN frames wait in a queue for each flow (one direction of one connection), and flows take turns by
deficit round robin [1]. A flow that had nothing waiting gets its first turn before those that have been
waiting longer [2], so a keystroke does not queue behind a turn of each bulk transfer.

Limits count memory held, not frame lengths:

- Data beyond the queue's share of the budget of all links: the longest flow loses its tail. Its sender goes back
  and repeats it.
- Control frames of connections beyond ``control_limit_octets``: the newest is not taken. Their senders repeat
  what matters.
- Frames of the link's own are always taken; the link judges by ``control_octets`` whether its peer asks for
  more than it reads.

A data frame that leaves while more than ``mark_octets`` wait is marked: its sender will slow down.

Sources: [1] Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", 1996, in the variant
that lets a flow overdraw by one frame and pays it back, which does not need to look at the next frame; [2]
RFC 8290 section 4.2.
"""

import heapq
from collections import deque
from typing import Final, TypeAlias

from mesh.frames import FIRST_CONNECTION_TYPE, MAX_BODY_OCTETS, Frame, FrameType
from mesh.identity import AgentId
from mesh.relay_budget import GREED, RelayBudget

FRAME_OVERHEAD_OCTETS: Final = 200
"""What a waiting frame holds beside its body: two objects, their numbers, a slot in a queue."""
FLOW_OVERHEAD_OCTETS: Final = 1200
"""What a flow holds beside its frames: a deque (760 octets on CPython), its key, slots in two tables."""
QUANTUM_OCTETS: Final = MAX_BODY_OCTETS + FRAME_OVERHEAD_OCTETS
"""Of a flow's turn: one frame of the largest size, so that an overdraft is always paid back in one turn."""
DEFAULT_CONTROL_LIMIT_OCTETS: Final = 4 * 1024 * 1024
"""About 15,000 acknowledgements: far more than wait on a link that moves."""

_ROOM_FRACTION: Final = 32
"""At its share the queue drops down to 31/32 of it: one search for the longest flow pays for many drops."""

_FlowKey: TypeAlias = tuple[AgentId, AgentId, int, bool]


class _Flow:
    """Data of one direction of one connection."""

    __slots__ = ("credit", "frames", "key", "octets")

    def __init__(self, key: _FlowKey) -> None:
        self.key = key
        self.frames: deque[Frame] = deque()
        self.octets = FLOW_OVERHEAD_OCTETS
        self.credit = QUANTUM_OCTETS


class SendQueue:
    """Frames that wait for one link.

    Args:
        budget: of all links, for data.
        mark_octets: memory held by data above which data is marked as it leaves.
        control_limit_octets: memory held by the control lane above which it takes no more from connections.
    """

    def __init__(
        self,
        budget: RelayBudget,
        mark_octets: int,
        control_limit_octets: int = DEFAULT_CONTROL_LIMIT_OCTETS,
    ) -> None:
        self._budget = budget
        self.mark_octets = mark_octets
        """Memory held by data above which data is marked as it leaves; it may follow the link's pace."""
        self._control_limit_octets = control_limit_octets
        self._control: deque[Frame] = deque()
        self._control_octets = 0
        self._flows: dict[_FlowKey, _Flow] = {}
        self._first_turns: deque[_Flow] = deque()
        self._turns: deque[_Flow] = deque()  # the flow at the left is the one whose turn it is
        self._data_octets = 0
        self._data_frames = 0
        self._dropped = 0

    @property
    def octets(self) -> int:
        """Memory held by what waits."""
        return self._control_octets + self._data_octets

    @property
    def control_octets(self) -> int:
        """Memory held by the control lane."""
        return self._control_octets

    @property
    def frames(self) -> int:
        """Frames that wait."""
        return len(self._control) + self._data_frames

    @property
    def dropped(self) -> int:
        """Frames dropped or not taken, since the start."""
        return self._dropped

    def push(self, frame: Frame) -> None:
        """Let ``frame`` wait for its turn; where a limit is hit, frames are dropped and counted."""
        held = len(frame.body) + FRAME_OVERHEAD_OCTETS
        if frame.type not in _DATA_TYPES:
            self._push_control(frame, held)
            return
        key = (frame.source, frame.destination, frame.connection, frame.from_exit)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(key)
            self._first_turns.append(flow)
            self._data_octets += FLOW_OVERHEAD_OCTETS
            self._budget.free_octets -= FLOW_OVERHEAD_OCTETS
        flow.frames.append(frame)
        flow.octets += held
        self._data_octets += held
        self._data_frames += 1
        budget = self._budget
        budget.free_octets -= held
        if self._data_octets > GREED * budget.free_octets:
            self._make_room()

    def pop_batch(self, max_octets: int) -> list[Frame]:
        """The next frames to send: about ``max_octets``, one at least where any waits."""
        batch: list[Frame] = []
        room = max_octets
        while room > 0 and self._control:
            frame = self._control.popleft()
            held = len(frame.body) + FRAME_OVERHEAD_OCTETS
            self._control_octets -= held
            room -= held
            batch.append(frame)
        while room > 0 and self._data_frames:
            frame = self._pop_data()
            room -= len(frame.body) + FRAME_OVERHEAD_OCTETS
            batch.append(frame)
        return batch

    def clear(self) -> None:
        """Let go of everything, without counting it as dropped: the link has ended."""
        self._control.clear()
        self._control_octets = 0
        self._forget_flows()

    def _push_control(self, frame: Frame, held: int) -> None:
        of_connection = frame.type >= FIRST_CONNECTION_TYPE
        if of_connection and self._control_octets + held > self._control_limit_octets:
            self._count_drop()
            return
        self._control.append(frame)
        self._control_octets += held

    def _pop_data(self) -> Frame:
        turns, flow = self._next_turn()
        frame = flow.frames.popleft()
        if self._data_octets > self.mark_octets and not frame.marked:
            frame = frame.with_mark()
        held = len(frame.body) + FRAME_OVERHEAD_OCTETS
        flow.octets -= held
        flow.credit -= held
        self._data_octets -= held
        self._budget.free_octets += held
        self._data_frames -= 1
        if not self._data_frames:
            self._forget_flows()
        elif flow.credit <= 0:
            flow.credit += QUANTUM_OCTETS
            turns.popleft()
            self._turns.append(flow)
        return frame

    def _next_turn(self) -> tuple[deque[_Flow], _Flow]:
        """The flow whose turn it is, and the turns of which it is the first; some flow has a frame."""
        while True:
            turns = self._first_turns or self._turns
            flow = turns[0]
            if flow.frames:
                return turns, flow
            turns.popleft()
            if turns is self._first_turns:
                # Forgotten only after the others' turns: else it could come back as a new flow for ever.
                self._turns.append(flow)
            else:
                del self._flows[flow.key]
                self._data_octets -= FLOW_OVERHEAD_OCTETS
                self._budget.free_octets += FLOW_OVERHEAD_OCTETS

    def _forget_flows(self) -> None:
        self._data_frames = 0
        self._flows.clear()
        self._first_turns.clear()
        self._turns.clear()
        self._budget.free_octets += self._data_octets
        self._data_octets = 0

    def _make_room(self) -> None:
        """Drop tails, always of the longest flow, and forget the flows that are empty."""
        share_octets = self._budget.share_octets(self._data_octets)
        target_octets = share_octets - share_octets // _ROOM_FRACTION
        waiting = [flow for flow in self._flows.values() if flow.frames]
        octets = sum(flow.octets for flow in waiting)
        longest = [(-flow.octets, order, flow) for order, flow in enumerate(waiting)]
        heapq.heapify(longest)
        while octets > target_octets:
            _, order, flow = longest[0]
            held = len(flow.frames.pop().body) + FRAME_OVERHEAD_OCTETS
            flow.octets -= held
            octets -= held
            self._data_frames -= 1
            self._count_drop()
            if flow.frames:
                heapq.heapreplace(longest, (-flow.octets, order, flow))
            else:
                heapq.heappop(longest)
                octets -= FLOW_OVERHEAD_OCTETS
        self._budget.free_octets += self._data_octets - octets
        self._data_octets = octets
        self._flows = {key: flow for key, flow in self._flows.items() if flow.frames}
        self._first_turns = deque(flow for flow in self._first_turns if flow.frames)
        self._turns = deque(flow for flow in self._turns if flow.frames)

    def _count_drop(self) -> None:
        self._dropped += 1
        self._budget.dropped_frames += 1


_DATA_TYPES: Final = frozenset({FrameType.DATA, FrameType.FIN})
