"""What waits of a stranger when its agent becomes known: it moves to a turn of its own, in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.link.data_lane import SOURCE_OVERHEAD_BYTES
from mesh.link.frames import FrameType
from mesh.link.relay_budget import RelayBudget
from mesh.link.send_queue import SendQueue
from mesh.trust.identity import AgentId
from tests.mesh.link.send_queue_company import PLENTY, SEGMENT, A, C, frame, pop_all, queue


def stranger(number: int) -> AgentId:
    return AgentId(number.to_bytes(16, "big"))


@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.ACK, FrameType.RESET])
@pytest.mark.parametrize("byte_count", [40, 9000])
def test_what_waits_of_a_stranger_keeps_its_order_when_its_agent_becomes_known(kind, byte_count):
    one, other = stranger(100), stranger(101)
    waiting = queue()
    waiting.push(frame(1, 0, SEGMENT, source=A))
    first = [
        frame(1, number, byte_count, kind, source=each, destination=C)
        for number in range(20)
        for each in (one, other)
    ]
    for each in first:
        waiting.push(each)
    held_before = waiting.byte_count
    waiting.know({one})
    assert held_before < waiting.byte_count <= held_before + SOURCE_OVERHEAD_BYTES
    later = [
        frame(1, number, byte_count, kind, source=each, destination=C)
        for number in range(20, 40)
        for each in (one, other)
    ]
    for each in later:
        waiting.push(each)
    popped = pop_all(waiting)
    assert len(popped) == 81
    for agent in (one, other):
        assert [each.number for each in popped if each.source == agent] == list(range(40))
    assert (waiting.frames, waiting.byte_count, waiting.dropped) == (0, 0, 0)


@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.ACK])
def test_an_agent_that_becomes_known_has_a_turn_of_its_own_at_once(kind):
    one, other = stranger(100), stranger(101)
    waiting = queue()
    for number in range(100):
        waiting.push(frame(1, number, 3900, kind, source=other))
    for number in range(20):
        waiting.push(frame(2, number, 3900, kind, source=one))
    waiting.know({one, other})
    left = pop_all(waiting)
    assert max(at for at, each in enumerate(left) if each.source == one) < 60
    assert (waiting.frames, waiting.byte_count) == (0, 0)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.integers(100, 103), st.integers(1, 2), st.sampled_from([40, 9000, SEGMENT])),
            st.sets(st.integers(100, 103)),
            st.none(),
        ),
        max_size=60,
    ),
    kind=st.sampled_from([FrameType.DATA, FrameType.ACK]),
)
def test_whoever_becomes_known_when_each_flow_leaves_in_order_and_all_memory_is_given_back(steps, kind):
    budget = RelayBudget(PLENTY)
    waiting, pushed, popped = SendQueue(budget, PLENTY, A), 0, []
    for number, step in enumerate(steps):
        match step:
            case (agent, connection, byte_count):
                waiting.push(frame(connection, number, byte_count, kind, source=stranger(agent)))
                pushed += 1
            case None:
                popped += waiting.pop_batch(1)
            case agents:
                waiting.know({stranger(agent) for agent in agents})
        assert waiting.frames == pushed - len(popped)
    popped += pop_all(waiting)
    assert len(popped) == pushed
    for key in {(each.source, each.connection) for each in popped}:
        numbers = [each.number for each in popped if (each.source, each.connection) == key]
        assert numbers == sorted(numbers)
    assert (waiting.frames, waiting.byte_count, budget.free_bytes) == (0, 0, PLENTY)
