"""What short connections through three agents cost the one in the middle, and what they survive."""

from typing import Any, ClassVar

import pytest

from actors.runtime.actor import Actor
from actors.runtime.seam import SocketOptions
from mesh.addresses import TcpAddress
from mesh.connection.early_data import HEARD_S
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.simulation.conversation import HEADER, Manner, Pace, Terms
from scripts.simulation.meddling import MeddlingLink
from tests.actors.company import start
from tests.simulation.mesh_world import LISTEN_PORT, mesh_world, three_agents

IN, OUT = False, True


class CountingLink(MeddlingLink):
    """Notes what is passed on, and loses the first frames of some kinds."""

    passed: ClassVar[list[tuple[FrameType, bool]]]
    lost: ClassVar[list[tuple[FrameType, bool]]]

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        kept = []
        for frame in frames:
            kind = FrameType(frame.type), frame.from_exit
            self.passed.append(kind)
            if kind in self.lost:
                self.lost.remove(kind)
            else:
                kept.append(frame)
        super()._pass_on(destination, kept)


class Asker(Actor[Any]):
    """A client that asks, and closes once it is answered."""

    def __init__(self, dispatcher: Any, terms: Terms) -> None:
        super().__init__(dispatcher)
        self.terms = terms
        self.heard = b""

    def on_start(self) -> None:
        self.dispatcher.connect(self.ref, TcpAddress("branch", LISTEN_PORT), 1, SocketOptions())

    def on_receive(self, message: Any) -> None:
        socket = self.own(message.socket)
        socket.send([self.terms.request])
        socket.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        buffer = self.dispatcher.read_buffer
        self.heard += bytes(buffer[: socket.recv_into(buffer)])
        if len(self.heard) >= self.terms.down:
            socket.close()
            self.disown(socket)


def shorten(mesh):
    for one, other in (("branch", "relay"), ("relay", "hq"), ("client", "branch"), ("hq", "service")):
        mesh.network.shape(one, other, latency_s=0.0001)


def test_a_question_its_answer_and_both_ends_are_four_frames():
    with mesh_world(1, {"relay": CountingLink}) as mesh:
        shorten(mesh)
        CountingLink.passed, CountingLink.lost = [], []
        three_agents(mesh)
        frames = []
        for number in range(3):  # only the first needs a handshake of the two agents
            terms = Terms(number, up=64 - HEADER.size, down=64)
            asker = start(mesh.world, Asker, terms, host="client")
            CountingLink.passed.clear()
            mesh.run(HEARD_S / 2)
            assert asker.heard == terms.answer
            frames.append(list(CountingLink.passed))
        for passed in frames[1:]:
            assert passed == [
                (FrameType.OPEN, IN), (FrameType.ACCEPT, OUT), (FrameType.FIN, IN), (FrameType.FIN, OUT)
            ]  # fmt: skip
        assert len(frames[0]) == 6
        mesh.assert_nothing_left()


def test_a_target_that_closes_with_its_answer_costs_no_more():
    with mesh_world(1, {"relay": CountingLink}) as mesh:
        shorten(mesh)
        CountingLink.passed, CountingLink.lost = [], []
        three_agents(mesh)
        for number in range(2):
            CountingLink.passed.clear()
            terms = Terms(number, up=64 - HEADER.size, down=64, manner=Manner.FINISH_FIRST)
            mesh.converse(terms, Pace(finishes=False))
            mesh.run_until_said(20.0)
            mesh.run(HEARD_S / 2)
        mesh.run(1.0)
        mesh.assert_all_complete()
        assert CountingLink.passed == [
            (FrameType.OPEN, IN), (FrameType.ACCEPT, OUT), (FrameType.FIN, OUT), (FrameType.FIN, IN)
        ]  # fmt: skip
        mesh.finish()


def converse(lost, after_s=1.0):
    """A client that asks, finishes, and hears an end of stream; what the relay passed on."""
    CountingLink.passed, CountingLink.lost = [], list(lost)
    with mesh_world(1, {"relay": CountingLink}) as mesh:
        shorten(mesh)
        three_agents(mesh)
        mesh.converse(Terms(1, manner=Manner.SILENT))
        mesh.run_until_said(20.0)
        mesh.run(after_s)
        mesh.assert_all_complete()
        mesh.finish()
        assert not CountingLink.lost
        return CountingLink.passed


def test_each_frame_crosses_the_relay_once():
    passed = converse([])
    assert passed[:2] == [(FrameType.OPEN, IN), (FrameType.ACCEPT, OUT)]
    assert passed[2:] == [(FrameType.DATA, IN), (FrameType.FIN, IN), (FrameType.FIN, OUT)]


def test_an_exit_that_misses_the_only_frame_of_its_ingress_asks_for_it():
    with mesh_world(1, {"relay": CountingLink}) as mesh:
        shorten(mesh)
        CountingLink.passed, CountingLink.lost = [], []
        three_agents(mesh)
        for number in range(2):
            CountingLink.lost[:] = [(FrameType.FIN, IN)] * number
            terms = Terms(number, up=64 - HEADER.size, down=64, manner=Manner.FINISH_FIRST)
            mesh.converse(terms, Pace(finishes=False))
            mesh.run_until_said(20.0)
            mesh.run(HEARD_S / 2)
        mesh.run(1.0)
        mesh.assert_all_complete()
        assert not CountingLink.lost
        mesh.finish()


@pytest.mark.parametrize("times", [1, 3])
def test_an_end_whose_farewell_is_lost_asks_for_it(times):
    passed = converse([(FrameType.FIN, OUT)] * times, after_s=3.0)
    assert passed.count((FrameType.FIN, OUT)) == 1 + times
    assert (FrameType.UNKNOWN, OUT) not in passed
