"""What comes astray takes no turn of the agent that it names: all that one peer brings so has one turn."""

import pytest

from mesh.link.control_lane import DEFAULT_CONTROL_LIMIT_BYTES
from mesh.link.frames import Frame, FrameType, turn_of_strays
from tests.mesh.link.send_queue_company import SEGMENT, A, B, C, D, frame, pop_all, queue

MIB = 1024 * 1024
BY_C, BY_D = turn_of_strays(C), turn_of_strays(D)


def bytes_by(popped: list[Frame]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for each in popped:
        found[each.astray] = found.get(each.astray, 0) + len(each.body)
    return found


def test_a_turn_of_strays_is_no_agents():
    assert len({BY_C, BY_D, C, D}) == 4
    assert all(len(turn) != len(C) for turn in (BY_C, BY_D))


@pytest.mark.parametrize("connections", [1, 200])
@pytest.mark.parametrize("byte_count", [3900, SEGMENT])
def test_data_that_comes_astray_in_an_agents_name_leaves_that_agent_its_turn(connections, byte_count):
    waiting = queue(limit_bytes=64 * MIB)
    for number in range(16 * MIB // byte_count):
        waiting.push(frame(number % connections, number, byte_count, source=B, astray=BY_C))
    genuine = [frame(1, number, SEGMENT, source=B) for number in range(40)]
    for each in genuine:
        waiting.push(each)
    popped = []
    while genuine[-1] not in popped:
        popped += waiting.pop_batch(SEGMENT)
    assert [each for each in popped if not each.astray] == genuine
    sent = bytes_by(popped)
    assert 0.9 < sent[BY_C] / sent[b""] < 1.1


@pytest.mark.parametrize("kind", [FrameType.OPEN, FrameType.ACCEPT, FrameType.REJECT, FrameType.ACK])
def test_control_that_comes_astray_in_an_agents_name_keeps_none_of_its_frames_out_or_waiting(kind):
    waiting = queue()
    for number in range(2 * DEFAULT_CONTROL_LIMIT_BYTES // 1480):
        waiting.push(frame(1, number, 1280, FrameType.REJECT, source=B, astray=BY_C))
    assert waiting.dropped > 0
    dropped = waiting.dropped
    genuine = frame(1, 0, 60, kind, source=B)
    waiting.push(genuine)
    assert waiting.dropped == dropped
    assert pop_all(waiting).index(genuine) <= 3


@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.ACK])
def test_what_another_peer_brings_astray_has_a_turn_of_its_own(kind):
    """An agent that goes round a first hop may be among those."""
    waiting = queue()
    for number in range(1000):
        waiting.push(frame(number, 0, 3900, kind, source=B, astray=BY_C))
    waiting.pop_batch(10 * SEGMENT)
    late = frame(1, 0, 3900, kind, source=B, astray=BY_D)
    waiting.push(late)
    assert pop_all(waiting).index(late) <= 3


@pytest.mark.parametrize("kind", [FrameType.DATA, FrameType.ACK])
def test_whatever_sources_it_names_it_has_one_turn(kind):
    waiting = queue()
    for number in range(300):
        waiting.push(frame(1, number, 3900, kind, source=(A, B, D)[number % 3], astray=BY_C))
    for number in range(150):
        waiting.push(frame(1, number, 3900, kind, source=B))
    first = [waiting.pop_batch(1)[0] for _ in range(200)]
    assert 0.4 < sum(not each.astray for each in first) / 200 < 0.6
    waiting.know({B, D})
    assert len(pop_all(waiting)) == 250
    assert (waiting.frames, waiting.byte_count, waiting.dropped) == (0, 0, 0)
