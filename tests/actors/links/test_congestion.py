"""Which algorithm a link's socket is told, and what is said of one that the kernel does not have."""

import pytest

from actors.links.congestion import CongestionControl
from mesh.config.schema import SYSTEM
from tests.actors.root.root_mesh import Mesh


class Kernel:
    """A socket of one that has some algorithms."""

    def __init__(self, *known):
        self.known = known
        self.told = []

    def control_congestion(self, algorithm):
        self.told.append(algorithm)
        return algorithm in self.known


def test_what_the_system_does_is_left_to_it():
    kernel = Kernel()
    CongestionControl().set_up(kernel, SYSTEM)
    assert kernel.told == []


def test_the_kernel_is_told_what_the_configuration_says(caplog):
    kernel = Kernel("bbr")
    CongestionControl().set_up(kernel, "bbr")
    assert kernel.told == ["bbr"]
    assert caplog.messages == []


def test_what_it_does_not_have_is_said_once(caplog):
    kernel, control = Kernel("cubic"), CongestionControl()
    for algorithm in ("bbr", "bbr", "cubic", "bbr"):
        control.set_up(kernel, algorithm)
    assert [text.partition(",")[0] for text in caplog.messages] == [
        "links send as all other connections here: connections.congestion_control is bbr"
    ] * 2


def test_each_link_is_set_up_at_both_ends(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(CongestionControl, "set_up", lambda _, socket, algorithm: seen.append(algorithm))
    Mesh().world.stop()
    assert seen == [SYSTEM] * 4
