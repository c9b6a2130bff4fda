"""What a send queue drops when its memory is at its limit."""

from collections import defaultdict

import pytest

from mesh.link.control_lane import CONTROL_SOURCE_BYTES
from mesh.link.data_lane import FRAME_OVERHEAD_BYTES
from mesh.link.frames import link_frame
from tests.mesh.link.send_queue_company import (
    CONTROL_TYPES,
    LINK_OWN,
    SEGMENT,
    filled,
    frame,
    pop_all,
    pop_names,
    queue,
)


def test_at_the_limit_the_longest_flow_loses_its_tail():
    waiting = queue(limit_bytes=10 * SEGMENT)
    waiting.push(frame(2, 0, 100))
    for number in range(20):
        waiting.push(frame(1, number, SEGMENT))
    waiting.push(frame(3, 0, 100))
    assert waiting.byte_count <= 10 * SEGMENT
    kept = pop_names(waiting)
    bulk = [number for connection, number in kept if connection == 1]
    assert {(2, 0), (3, 0)} <= set(kept)
    assert bulk[:9] == list(range(9))
    assert waiting.dropped == 22 - len(kept) > 0


def test_at_the_limit_the_longer_flow_pays_until_they_are_equal():
    waiting = queue(limit_bytes=1000 * 1000)
    for number in range(600):
        waiting.push(frame(1, number, 800))
    for number in range(600):
        waiting.push(frame(2, number, 800))
    kept = defaultdict(int)
    for connection, _ in pop_names(waiting):
        kept[connection] += 1
    assert 450 < kept[1] < 500
    assert 450 < kept[2] < 500


def test_many_flows_of_one_frame_stay_within_the_limit():
    waiting = queue(limit_bytes=100_000)
    for connection in range(1000):
        waiting.push(frame(connection))
    assert waiting.byte_count <= 100_000
    left = waiting.frames
    assert left + waiting.dropped == 1000
    assert left > 50
    assert len(pop_all(waiting)) == left


def test_a_frame_that_never_fits_is_dropped():
    waiting = filled(frame(1, 0, SEGMENT), limit_bytes=1000)
    assert (waiting.byte_count, waiting.frames, waiting.dropped) == (0, 0, 1)


@pytest.mark.parametrize("frame_type", CONTROL_TYPES)
def test_the_control_lane_takes_no_more_from_connections_at_its_limit(frame_type):
    waiting = queue(control_limit_bytes=2 * (CONTROL_SOURCE_BYTES + 3 * FRAME_OVERHEAD_BYTES))
    for number in range(5):
        waiting.push(frame(1, number, frame_type=frame_type))
    assert waiting.dropped == 2
    assert [popped.number for popped in pop_all(waiting)] == [0, 1, 2]


def test_the_links_own_frames_are_always_taken():
    waiting = queue(limit_bytes=0, control_limit_bytes=0)
    for frame_type in LINK_OWN:
        waiting.push(link_frame(frame_type, b"body"))
    assert sorted(popped.type for popped in pop_all(waiting)) == LINK_OWN
    assert waiting.dropped == 0
