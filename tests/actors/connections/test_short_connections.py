"""How many frames a short connection takes: each agent on its path handles each of them once."""

import pytest

from mesh.link.frames import FrameType
from tests.actors.connections.both_ends_company import SIDES, Ends, both
from tests.actors.connections.end_company import RESET

OPEN, ACCEPT, DATA, FIN, ACK = (
    FrameType.OPEN,
    FrameType.ACCEPT,
    FrameType.DATA,
    FrameType.FIN,
    FrameType.ACK,
)
QUESTION, ANSWER = b"q" * 64, b"a" * 64


def types(wire):
    return [frame.type for frame in wire.frames]


class Short(Ends):
    """Both ends of a connection whose programs answer at once, and close no socket by themselves."""

    def __init__(self, *, finishes: bool) -> None:
        super().__init__()
        for one, other in (("client", "branch"), ("hq", "target")):
            self.world.network.shape(one, other, latency_s=0.0001)
        self.client.closes_at_end = False
        self.client.send(QUESTION)
        if finishes:
            self.client.socket.shutdown_write()
        self.until(self.is_reached)
        self.target.closes_at_end = False
        self.until(lambda: self.target.received == QUESTION)

    def is_reached(self) -> bool:
        """Whether the target has got the connection."""
        try:
            self.target = self.take_target()
        except BlockingIOError:
            return False
        return True

    def until(self, condition) -> None:
        for _ in range(1000):
            if condition():
                return
            self.run(0.0001)
        raise AssertionError


@pytest.fixture
def asked():
    ends = Short(finishes=False)
    yield ends
    ends.world.stop()


@pytest.fixture
def asked_and_finished():
    ends = Short(finishes=True)
    yield ends
    ends.world.stop()


def answer_and_close(ends):
    """Both have come by the time the agent reads them."""
    agent = ends.world.dispatcher("hq")
    agent.pause()
    ends.target.send(ANSWER)
    ends.target.socket.shutdown_write()
    ends.run(0.0005)
    agent.resume()


def test_a_client_that_closes_once_it_is_answered_costs_two_frames_more(asked):
    asked.target.send(ANSWER)
    asked.until(lambda: asked.client.received == ANSWER)
    asked.client.socket.shutdown_write()
    asked.until(lambda: asked.target.end)
    asked.target.socket.shutdown_write()
    asked.until(lambda: asked.client.end)
    assert (asked.client.end, asked.target.end) == ("EOF", "EOF")
    asked.run(0.001)
    assert asked.is_over
    assert types(asked.to_exit) == [OPEN, DATA, FIN]
    assert types(asked.to_ingress) == [ACCEPT, DATA, FIN]


def test_a_target_that_closes_with_its_answer_sends_both_in_one_frame(asked):
    answer_and_close(asked)
    asked.until(lambda: asked.client.end)
    assert (bytes(asked.client.received), asked.client.end) == (ANSWER, "EOF")
    asked.client.socket.shutdown_write()
    asked.until(lambda: asked.target.end)
    assert asked.target.end == "EOF"
    asked.run(0.001)
    assert asked.is_over
    assert types(asked.to_exit) == [OPEN, DATA, FIN]
    assert types(asked.to_ingress) == [ACCEPT, FIN]


def test_a_client_that_asks_and_finishes_is_answered_by_one_frame_and_acknowledges_it(asked_and_finished):
    ends = asked_and_finished
    answer_and_close(ends)
    ends.run(5.0)  # the ingress stays to acknowledge the answer again
    assert (bytes(ends.client.received), ends.client.end) == (ANSWER, "EOF")
    assert (bytes(ends.target.received), ends.target.end) == (QUESTION, "EOF")
    assert ends.is_over
    assert types(ends.to_exit) == [OPEN, DATA, FIN, ACK]
    assert types(ends.to_ingress) == [ACCEPT, FIN]


@pytest.mark.parametrize("side", SIDES)
def test_an_end_that_has_acknowledged_the_others_end_has_its_own_acknowledged(ends, side):
    one, other = both(ends, side)
    one.socket.shutdown_write()
    ends.run(1.0)
    assert other.end == "EOF"
    other.socket.shutdown_write()
    ends.run(1.0)
    assert one.end == "EOF"
    to_one, to_other = (ends.to_ingress, ends.to_exit)[:: 1 if side == "client" else -1]
    assert types(to_one)[-2:] == [ACK, FIN]
    assert types(to_other)[-2:] == [FIN, ACK]


def test_a_reset_behind_the_first_words_is_no_end_of_stream(asked):
    agent = asked.world.dispatcher("hq")
    agent.pause()
    asked.target.send(ANSWER)
    asked.target.socket.abort()
    asked.run(0.0005)
    agent.resume()
    asked.run(1.0)
    assert (bytes(asked.client.received), asked.client.end) == (ANSWER, RESET)
    assert FIN not in types(asked.to_ingress)
