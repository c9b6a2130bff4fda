"""New keys between a stream of the agent's and one of the second implementation."""

import pytest

from mesh.connection.stream.rekeying import State
from mesh.link.frames import Frame as OurFrame
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import EXIT, INGRESS, STATICS, make_stream, sessions
from tests.second.frames import Frame
from tests.second.session import Name, Session
from tests.second.session_keys import Statics
from tests.second.stream import Stream

CREDIT = 65_536
KEYS = {"age_s": 60.0, "least_age_s": 1.0}


class Both:
    """One end is the agent's, the other the second implementation's; nothing is lost between them."""

    def __init__(self, *, is_ingress):
        self.now = 100.0
        ours = sessions()[not is_ingress]
        keys = [b"\x01" * 32, b"\x02" * 32]
        own, other = STATICS[is_ingress], STATICS[not is_ingress]
        self.second = Session(
            Name(INGRESS, EXIT, 7),
            not is_ingress,
            *(keys[::-1] if is_ingress else keys),
            Statics(own.private, other.public),
        )
        self.ours = make_stream(ours, keys=KEYS)
        self.theirs = Stream(self.second, not is_ingress, CREDIT, self.answer, lambda: self.now)
        self.delivered = b""
        self.steps = []
        self.queue = []

    def answer(self, frame):
        kind = FrameType(frame.type)
        fields = frame.from_exit, frame.source, frame.destination, frame.connection, frame.number, frame.body
        self.queue.append(OurFrame(kind, *fields))

    def apply(self, effects):
        assert effects.peer_reset is None
        self.delivered += b"".join(effects.delivered)
        for frame in effects.frames:
            self.steps.append(frame.type)
            fields = frame.source, frame.destination, frame.connection, frame.number, frame.from_exit
            self.theirs.receive(Frame(frame.type, frame.body, *fields))
        while self.queue:
            self.apply(self.ours.receive([self.queue.pop(0)], self.now))

    def carry(self, data):
        self.apply(self.ours.send(data, self.now))
        self.theirs.write(data)
        self.apply(self.ours.timeout(self.now))
        self.now += 0.1
        self.theirs.tick()
        self.apply(self.ours.timeout(self.now))


@pytest.mark.parametrize("is_ingress", [True, False], ids=["as exit", "as ingress"])
def test_the_second_implementation_answers_for_new_keys(is_ingress):
    both = Both(is_ingress=is_ingress)
    sent = b""
    for count in range(1, 5):
        sent += b"before %d" % count
        both.carry(b"before %d" % count)
        both.now += 60.0
        both.apply(both.ours.timeout(both.now))
        assert both.ours._rekeying.generation == count
        sent += b"after %d" % count
        both.carry(b"after %d" % count)
        assert both.ours._rekeying.state is State.QUIET
    assert both.delivered == sent
    assert both.theirs.receiver.next_number == 8
    assert both.ours.forged_frames == 0
    assert both.steps.count(FrameType.SESSION_KEYS) == 8
    assert len(both.second._receive_keys) == 1
