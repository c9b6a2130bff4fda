"""Data that waits for one link: agents take turns, and within an agent's turn its flows do.

The unit of fairness is the agent that a frame comes from, its source; then the flow, that is one direction of
one connection. Both levels are deficit round robin [1]: however many flows a source has, and however much it
keeps waiting, it gets one turn as everybody else does. A source's turn is small, so that who keeps little
waiting, for its window is small, does not miss it: what a large frame overdraws is paid back over several.
Sources that this agent knows no way to take one turn together, for a relay can make up as many as it likes.
So does what one peer has brought astray (``mesh/routing/straying.py``), whatever sources it names.

Short frames of a flow that had nothing waiting go early, before all turns [2], as long as the flow has not
used up its turn by them, and they are a small part of its source's: a keystroke waits for no turn of a bulk
transfer, be there one or a thousand, nor for its agent to have paid back, and gets no more than its share.
Further ones go in their source's turn, before its bulk. Long frames never go early, or bulk transfers that
keep little waiting would too.

A frame that waits already is not queued again: if a queue takes longer than senders wait for an answer, they
repeat, and their repetitions would fill it.

Beyond the lane's share of the budget of all links, the source that holds most loses the tail of its longest
flow, and nobody else anything. Its sender goes back and repeats it. Credit that was used outlives that.

While more than ``mark_bytes`` wait, what leaves is marked if its source holds more than its part of them: its
sender will slow down, and who holds little is not asked to.

Sources: [1] Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", 1996, in the variant
that lets a flow overdraw by one frame and pays it back, which does not need to look at the next frame; [2]
RFC 8290 section 4.2.
"""

import heapq
from collections import deque
from collections.abc import Container
from typing import Final, TypeAlias

from mesh.link.frames import MAX_BODY_BYTES, Frame
from mesh.link.relay_budget import GREED, RelayBudget
from mesh.trust.identity import NO_AGENT, AgentId

FRAME_OVERHEAD_BYTES: Final = 200
"""What a waiting frame holds beside its body: two objects, their numbers, a slot in a queue."""
FLOW_OVERHEAD_BYTES: Final = 1200
"""What a flow holds beside its frames: a deque (760 bytes on CPython), its key, slots in two tables."""
SOURCE_OVERHEAD_BYTES: Final = 2000
"""What a source holds beside its flows: two deques, a table, slots in another two."""
QUANTUM_BYTES: Final = MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES
"""Of a flow's turn: one frame of the largest size, so that an overdraft is always paid back in one turn."""
SHORT_BODY_BYTES: Final = 4000
"""Of a frame that may go early: a keystroke, a question, a short answer. Bulk comes in longer segments."""
SOURCE_TURN_BYTES: Final = 2 * (SHORT_BODY_BYTES + FRAME_OVERHEAD_BYTES)
"""Of a source's turn. With turns of a large frame, one that had 64 KiB under way missed every other turn
beside one that always had something waiting, and got a third of a link instead of half."""
EARLY_BYTES: Final = SOURCE_TURN_BYTES
"""What a source may send early if it has not for long: some 35 keystrokes."""
EARLY_SHIFT: Final = 3
"""Of a source's turns an eighth may go early."""

_SHORT_BYTES: Final = SHORT_BODY_BYTES + FRAME_OVERHEAD_BYTES

_ROOM_FRACTION: Final = 32
"""At its share the lane drops down to 31/32 of it: one search for the longest flows pays for many drops."""

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


class _Source:
    """Data of one agent, of all that are not known, or of what a peer has brought astray."""

    __slots__ = (
        "byte_count",
        "credit",
        "early",
        "early_credit",
        "flows",
        "frames",
        "is_early",
        "turn",
        "turns",
    )

    def __init__(self, turn: bytes) -> None:
        self.turn = turn
        self.flows: dict[_FlowKey, _Flow] = {}
        self.turns: deque[_Flow] = deque()  # all flows; the one at the left is the one whose turn it is
        self.early: deque[_Flow] = deque()  # those of them whose next frame goes before all turns
        self.frames = 0
        self.byte_count = SOURCE_OVERHEAD_BYTES
        self.credit = SOURCE_TURN_BYTES
        self.early_credit = EARLY_BYTES
        self.is_early = False


class DataLane:
    """DATA and FIN frames that wait.

    Args:
        budget: of all links.
        mark_bytes: memory held above which data is marked as it leaves.
        own_id: this agent.
    """

    def __init__(self, budget: RelayBudget, mark_bytes: int, own_id: AgentId) -> None:
        self._budget = budget
        self._own_id = own_id
        self.mark_bytes = mark_bytes
        """Memory held above which data is marked as it leaves; it may follow the link's pace."""
        self._known: Container[AgentId] = frozenset()
        self._sources: dict[bytes, _Source] = {}
        self._turns: deque[_Source] = deque()  # all sources; the one at the left has its turn
        self._early: deque[_Source] = deque()  # those that have credit and a flow whose next frame goes early
        self._waiting_sources = 0
        self.frames = 0
        """Frames that wait."""
        self.byte_count = 0
        """Memory held. Whoever calls :meth:`pop_into` gives what that frees back to the budget."""
        self.dropped = 0

    def know(self, agents: Container[AgentId]) -> None:
        """Give each of these a turn of its own, beside this one, and move there what waits of it."""
        self._known = agents
        strangers = self._sources.get(NO_AGENT) or _Source(NO_AGENT)
        for flow in [flow for flow in strangers.turns if flow.frames and flow.key[0] in agents]:
            source = self._sources.get(flow.key[0]) or self._source_of(flow.frames[0])
            source.flows[flow.key] = strangers.flows.pop(flow.key)
            source.turns.append(flow)
            source.frames += len(flow.frames)
            source.byte_count += flow.byte_count
            strangers.frames -= len(flow.frames)
            strangers.byte_count -= flow.byte_count
            flow.is_early = False
        self._tidy(strangers)
        self._waiting_sources = sum(source.frames > 0 for source in self._turns)

    def push(self, frame: Frame, held: int) -> int:
        """Let ``frame`` wait, of which ``held`` bytes of memory are held; how many more frames wait now.

        None does if the frame waits already. Fewer may, if the limit is hit: what is dropped is counted.
        """
        source = self._sources.get(frame.astray or frame.source) or self._source_of(frame)
        key = (frame.source, frame.destination, frame.connection, frame.from_exit)
        flow = source.flows.get(key)
        budget = self._budget
        if flow is None:
            flow = source.flows[key] = _Flow(key, frame.number)
            source.turns.append(flow)
            source.byte_count += FLOW_OVERHEAD_BYTES
            self.byte_count += FLOW_OVERHEAD_BYTES
            budget.free_bytes -= FLOW_OVERHEAD_BYTES
        elif frame.number > flow.newest:
            flow.newest = frame.number
        elif _waits(flow.frames, frame):
            return 0
        frames = flow.frames
        if held <= _SHORT_BYTES and not frames and self.frames and flow.credit > 0:
            flow.is_early = True
            source.early.append(flow)
            if source.early_credit > 0 and not source.is_early:
                source.is_early = True
                self._early.append(source)
        frames.append(frame)
        flow.byte_count += held
        if not source.frames:
            self._waiting_sources += 1
        source.frames += 1
        source.byte_count += held
        self.frames += 1
        self.byte_count += held
        budget.free_bytes -= held
        if self.byte_count > GREED * budget.free_bytes:
            share_bytes = budget.share_bytes(self.byte_count)
            return 1 - self.drop_to(share_bytes - share_bytes // _ROOM_FRACTION)
        return 1

    def pop_into(self, batch: list[Frame], room: int) -> int:
        """Move the next frames to ``batch`` until they held ``room`` bytes or more; how many that were."""
        early, sources, left = self._early, self._turns, room
        while left > 0 and self.frames:
            if early:
                source = self._early_source()
            else:
                source = sources[0]
                if source.credit <= 0 or not source.frames:
                    source = self._source_in_turn()
            if source.early:
                flow = source.early.popleft()
            else:
                turns = source.turns
                flow = turns[0]
                if flow.credit <= 0 or not flow.frames:
                    flow = self._flow_in_turn(source)
            frames = flow.frames
            frame = frames.popleft()
            if (
                self.byte_count > self.mark_bytes
                and source.byte_count * self._waiting_sources > self.mark_bytes
                and not frame.marked
            ):
                frame = frame.with_mark()
            batch.append(frame)
            held = len(frame.body) + FRAME_OVERHEAD_BYTES
            left -= held
            flow.byte_count -= held
            flow.credit -= held
            source.byte_count -= held
            source.credit -= held
            source.frames -= 1
            self.byte_count -= held
            self.frames -= 1
            if not source.frames:
                self._waiting_sources -= 1
            if flow.is_early:
                self._went_early(source, flow, held)
            # A turn that is over makes room for the next; what has gone early counts when its turn comes.
            if flow.credit <= 0 and source.turns[0] is flow:
                flow.credit += QUANTUM_BYTES
                source.turns.rotate(-1)
            if source.credit <= 0 and sources[0] is source:
                if len(sources) == 1:  # nobody is owed anything
                    source.credit, source.early_credit = SOURCE_TURN_BYTES, EARLY_BYTES
                else:
                    source.credit += SOURCE_TURN_BYTES
                    sources.rotate(-1)
                    if source.early_credit < EARLY_BYTES:
                        self._earn_early(source)
            if source.early and source.early_credit > 0 and not source.is_early:
                source.is_early = True
                early.append(source)
        if not self.frames:
            self._forget_all()
        return room - left

    def clear(self) -> None:
        """Let go of everything, without counting it as dropped: the link has ended."""
        self._budget.free_bytes += self.byte_count
        self.frames = self._waiting_sources = 0
        self._forget_all()

    def _source_of(self, frame: Frame) -> _Source:
        """A source that has nothing waiting, or that of all strangers."""
        turn = frame.astray or frame.source
        if not frame.astray and turn != self._own_id and turn not in self._known:
            turn = NO_AGENT
            if turn in self._sources:
                return self._sources[turn]
        source = self._sources[turn] = _Source(turn)
        self._turns.append(source)
        self.byte_count += SOURCE_OVERHEAD_BYTES
        self._budget.free_bytes -= SOURCE_OVERHEAD_BYTES
        return source

    def _early_source(self) -> _Source:
        """The source whose early frame is next; if all that had some are out of credit, that in turn."""
        early = self._early
        while early:
            source = early.popleft()
            source.is_early = False
            if source.early and source.early_credit > 0:
                return source
        return self._source_in_turn()

    def _went_early(self, source: _Source, flow: _Flow, held: int) -> None:
        """Let the next frame of ``flow`` go early too, if it is short."""
        source.early_credit -= held
        frames = flow.frames
        flow.is_early = len(frames) > 0 and flow.credit > 0 and len(frames[0].body) <= SHORT_BODY_BYTES
        if flow.is_early:
            source.early.append(flow)

    def _source_in_turn(self) -> _Source:
        """The source whose turn it is; some source has a frame, and none goes early."""
        turns = self._turns
        source = turns[0]
        while source.credit <= 0 or not source.frames:
            if source.credit <= 0:
                source.credit += SOURCE_TURN_BYTES
                turns.rotate(-1)
                if source.early_credit < EARLY_BYTES:
                    self._earn_early(source)
            else:
                # Forgotten only in its turn: else it could come back with new credit for ever.
                turns.popleft()
                del self._sources[source.turn]
                self.byte_count -= source.byte_count
            source = turns[0]
        return source

    def _earn_early(self, source: _Source) -> None:
        """A turn is over: part of what has gone early may do so again."""
        source.early_credit = min(EARLY_BYTES, source.early_credit + (SOURCE_TURN_BYTES >> EARLY_SHIFT))
        if source.early and source.early_credit > 0 and not source.is_early:
            source.is_early = True
            self._early.append(source)

    def _flow_in_turn(self, source: _Source) -> _Flow:
        """The flow of ``source`` whose turn it is; some flow has a frame, and none goes early."""
        turns = source.turns
        flow = turns[0]
        while flow.credit <= 0 or not flow.frames:
            if flow.credit <= 0:
                flow.credit += QUANTUM_BYTES
                turns.rotate(-1)
            else:
                turns.popleft()
                del source.flows[flow.key]
                source.byte_count -= FLOW_OVERHEAD_BYTES
                self.byte_count -= FLOW_OVERHEAD_BYTES
            flow = turns[0]
        return flow

    def _forget_all(self) -> None:
        self._sources.clear()
        self._early.clear()
        self._turns.clear()
        self.byte_count = 0

    # -- what is dropped -------------------------------------------------------------------------------------

    def drop_to(self, target_bytes: int) -> int:
        """Drop tails, always of the source that holds most and there of the longest flow; how many frames."""
        before = self.byte_count
        losers: dict[bytes, list[tuple[int, int, _Flow]]] = {}
        largest = [
            (-source.byte_count, order, source) for order, source in enumerate(self._turns) if source.frames
        ]
        heapq.heapify(largest)
        dropped = 0
        while largest and self.byte_count > target_bytes:
            _, order, source = largest[0]
            longest = losers.get(source.turn)
            if longest is None:
                longest = losers[source.turn] = _by_length(source)
            self._drop_tail(source, longest)
            dropped += 1
            if source.frames:
                heapq.heapreplace(largest, (-source.byte_count, order, source))
            else:
                self._waiting_sources -= 1
                heapq.heappop(largest)
        for turn in losers:
            self._tidy(self._sources[turn])
        if not self.frames:
            self._forget_all()
        self._budget.free_bytes += before - self.byte_count
        self._budget.dropped_frames += dropped
        self.dropped += dropped
        return dropped

    def _drop_tail(self, source: _Source, longest: list[tuple[int, int, _Flow]]) -> None:
        _, order, flow = longest[0]
        held = len(flow.frames.pop().body) + FRAME_OVERHEAD_BYTES
        source.frames -= 1
        self.frames -= 1
        flow.byte_count -= held
        if flow.frames:
            heapq.heapreplace(longest, (-flow.byte_count, order, flow))
        else:
            heapq.heappop(longest)
            if flow.credit == QUANTUM_BYTES:  # else it is forgotten in its turn, as any flow that is empty
                del source.flows[flow.key]
                held += FLOW_OVERHEAD_BYTES
        source.byte_count -= held
        self.byte_count -= held

    def _tidy(self, source: _Source) -> None:
        """Take what has been dropped whole out of its places."""
        source.turns = deque(flow for flow in source.turns if flow.key in source.flows)
        for flow in source.early:
            flow.is_early = flow.is_early and len(flow.frames) > 0
        source.early = deque(flow for flow in source.early if flow.is_early)


def _by_length(source: _Source) -> list[tuple[int, int, _Flow]]:
    """The flows with something waiting as a heap, the longest first."""
    longest = [(-flow.byte_count, order, flow) for order, flow in enumerate(source.turns) if flow.frames]
    heapq.heapify(longest)
    return longest


def _waits(frames: deque[Frame], repetition: Frame) -> bool:
    """Whether the same bytes wait already, in their place in a row; a gap hides what is behind it."""
    place = repetition.number - frames[0].number if frames else -1
    if not 0 <= place < len(frames):
        return False
    waiting = frames[place]
    return waiting.number == repetition.number and waiting.body == repetition.body
