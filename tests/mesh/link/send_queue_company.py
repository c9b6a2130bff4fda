"""The frames that the tests of send queues let wait, and the queues."""

from mesh.link.frames import Frame, FrameType
from mesh.link.relay_budget import RelayBudget
from mesh.link.send_queue import SendQueue
from mesh.trust.identity import AgentId

A, B, C, D = (AgentId(letter * 16) for letter in (b"a", b"b", b"c", b"d"))
PLENTY = 1 << 40
SEGMENT = 65_552
CONTROL_TYPES = [
    FrameType.OPEN,
    FrameType.ACCEPT,
    FrameType.REJECT,
    FrameType.ACK,
    FrameType.RESET,
    FrameType.PROBE,
    FrameType.UNKNOWN,
    FrameType.SESSION_KEYS,
]
LINK_OWN = [frame_type for frame_type in FrameType if frame_type < 0x10]
RECORD_TYPES = [FrameType.RECORDS, FrameType.DIGEST, FrameType.WANT_PAGES, FrameType.PAGES]


def frame(
    connection: int = 1,
    number: int = 0,
    byte_count: int = 0,
    frame_type: int = FrameType.DATA,
    **changes,
) -> Frame:
    fields = {"from_exit": False, "source": A, "destination": B} | changes
    return Frame(type=frame_type, connection=connection, number=number, body=bytes(byte_count), **fields)


def queue(limit_bytes: int = PLENTY, mark_bytes: int = PLENTY, **limits) -> SendQueue:
    """A queue alone with a budget of which it may take so much; it is A's, and knows B and C."""
    made = SendQueue(budget=RelayBudget(limit_bytes * 3 // 2), mark_bytes=mark_bytes, own_id=A, **limits)
    made.know({B, C})
    return made


def filled(*frames: Frame, **limits) -> SendQueue:
    made = queue(**limits)
    for each in frames:
        made.push(each)
    return made


def pop_all(waiting: SendQueue) -> list[Frame]:
    popped = []
    while batch := waiting.pop_batch(1):
        assert len(batch) == 1
        popped += batch
    return popped


def pop_names(waiting: SendQueue) -> list[tuple[int, int]]:
    return [(popped.connection, popped.number) for popped in pop_all(waiting)]
