"""What a link asks of its owner with nearly every read: to take connections' frames, or to pass them on.

These are no Structs like a link's other effects: compiled code makes and reads classes of its own faster.
"""

from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class Deliver:
    """Frames of connections that end at this agent."""

    __slots__ = ("frames",)

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self.frames = frames


class PassOn:
    """Frames of connections that end elsewhere."""

    __slots__ = ("destination", "frames")

    def __init__(self, destination: AgentId, frames: list[Frame]) -> None:
        self.destination = destination
        self.frames = frames
