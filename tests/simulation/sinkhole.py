"""A relay that answers every ping and loses what it is given to pass on: all of it, or some."""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.simulation.meddling import MeddlingLink

Loses: TypeAlias = Callable[[Frame], bool]


def data(frame: Frame) -> bool:
    """Bytes are lost, and all that answers or asks passes."""
    return frame.type == FrameType.DATA


def everything(frame: Frame) -> bool:
    """Nothing of connections passes."""
    return True


def to_exit(frame: Frame) -> bool:
    """One direction."""
    return not frame.from_exit


def from_exit(frame: Frame) -> bool:
    """The other direction."""
    return frame.from_exit


def data_to_exit(frame: Frame) -> bool:
    """Bytes are lost on the way to the exit."""
    return data(frame) and not frame.from_exit


def data_from_exit(frame: Frame) -> bool:
    """Bytes are lost on the way back."""
    return data(frame) and frame.from_exit


def opens(frame: Frame) -> bool:
    """What is open is served, and nothing new opens."""
    return frame.type == FrameType.OPEN


def accepts(frame: Frame) -> bool:
    """The same, on the way back."""
    return frame.type in (FrameType.ACCEPT, FrameType.REJECT)


def answers_from_exit(frame: Frame) -> bool:
    """The exit hears that its bytes have arrived, and the ingress does not."""
    return answers(frame) and frame.from_exit


def answers(frame: Frame) -> bool:
    """Bytes pass, and nobody hears that they have arrived."""
    return frame.type in (FrameType.ACK, FrameType.PROBE)


class Sinkhole(MeddlingLink):
    """Loses what ``loses`` says, once it has been told to; ``slow_s`` is by how much the rest is late."""

    loses: ClassVar[Loses | None] = None
    slow_s: ClassVar[float] = 0.0
    lost: ClassVar[int] = 0

    @classmethod
    def be_honest(cls) -> None:
        """Begin as a relay like any other."""
        cls.loses, cls.slow_s, cls.lost = None, 0.0, 0

    def on_receive(self, message):
        """A tuple is what was late."""
        if isinstance(message, tuple):
            super()._pass_on(*message)
        else:
            super().on_receive(message)

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        kept = frames if self.loses is None else [frame for frame in frames if not type(self).loses(frame)]
        type(self).lost += len(frames) - len(kept)
        if kept and self.slow_s:
            self.schedule(self.slow_s, (destination, kept))
        elif kept:
            super()._pass_on(destination, kept)
