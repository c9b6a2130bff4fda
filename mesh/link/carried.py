"""Frames of others that a link has brought: what it asks of its owner with nearly every read.

No Structs, as all else that a link asks for is: compiled code makes, knows and reads its own classes at once.
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
