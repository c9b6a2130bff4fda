"""What short connections through three agents cost the one in the middle, and what they survive."""

from typing import ClassVar

import pytest

from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.simulation.conversation import Manner, Terms
from scripts.simulation.meddling import MeddlingLink
from tests.simulation.mesh_world import mesh_world, three_agents


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


def converse(lost, after_s=1.0):
    """A client that asks, finishes, and hears an end of stream; what the relay passed on."""
    CountingLink.passed, CountingLink.lost = [], list(lost)
    with mesh_world(1, {"relay": CountingLink}) as mesh:
        for one, other in (("branch", "relay"), ("relay", "hq"), ("client", "branch"), ("hq", "service")):
            mesh.network.shape(one, other, latency_s=0.001)
        three_agents(mesh)
        mesh.converse(Terms(1, manner=Manner.SILENT))
        mesh.run_until_said(20.0)
        mesh.run(after_s)
        mesh.assert_all_complete()
        mesh.finish()
        assert not CountingLink.lost
        return CountingLink.passed


IN, OUT = False, True


def test_each_frame_crosses_the_relay_once():
    passed = converse([])
    assert passed[:2] == [(FrameType.OPEN, IN), (FrameType.ACCEPT, OUT)]
    assert passed[2:] == [(FrameType.DATA, IN), (FrameType.FIN, IN), (FrameType.FIN, OUT)]


@pytest.mark.parametrize("times", [1, 3])
def test_an_end_whose_farewell_is_lost_asks_for_it(times):
    passed = converse([(FrameType.FIN, OUT)] * times, after_s=3.0)
    assert passed.count((FrameType.FIN, OUT)) == 1 + times
    assert (FrameType.UNKNOWN, OUT) not in passed
