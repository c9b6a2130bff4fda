"""What an ingress keeps of segments that come before ACCEPT: a little, of one peer."""

from mesh.connection.ahead import MOST_AHEAD_BYTES, NOTHING_AHEAD
from mesh.link.data_lane import FRAME_OVERHEAD_BYTES
from mesh.link.frames import MAX_BODY_BYTES, Frame, FrameType
from mesh.trust.identity import AgentId

EXIT, INGRESS, PEER, OTHER_PEER = (AgentId(bytes((number,)) * 16) for number in range(1, 5))


def segment(number, size):
    return Frame(FrameType.DATA, True, EXIT, INGRESS, 1, number, bytes(size))


def test_what_comes_is_kept_in_its_order():
    first, second = segment(1, 100), segment(0, 200)
    ahead = NOTHING_AHEAD.and_one(first, PEER).and_one(second, PEER)
    assert ahead.frames == (first, second)
    assert ahead.via == PEER


def test_it_holds_no_more_than_its_room_whatever_comes():
    for size in (0, 1000, MAX_BODY_BYTES):
        ahead = NOTHING_AHEAD
        for number in range(200):
            ahead = ahead.and_one(segment(number, size), PEER)
        held = len(ahead.frames) * (size + FRAME_OVERHEAD_BYTES)
        assert held <= MOST_AHEAD_BYTES < held + size + FRAME_OVERHEAD_BYTES


def test_what_comes_by_another_peer_is_not_put_down_to_the_first():
    first = segment(0, 100)
    ahead = NOTHING_AHEAD.and_one(first, PEER).and_one(segment(1, 100), OTHER_PEER)
    assert ahead == ((first,), PEER)
