"""Segments that are there before the ACCEPT of their connection.

An exit sends what its target says as soon as it has accepted, and data goes by another lane of each link than
ACCEPT does (``mesh/link/send_queue.py``): where control frames queue, it arrives first. So it does if ACCEPT
is lost, and repeated. An ingress keeps such segments until it can open them. A short answer that it dropped
would have nothing behind it to show the gap, so it would be missing until the exit repeats it, which may take
seconds: it does not know the path yet.
"""

from typing import Final, NamedTuple

from mesh.link.data_lane import FRAME_OVERHEAD_BYTES
from mesh.link.frames import Frame
from mesh.trust.identity import NO_AGENT, AgentId

MOST_AHEAD_BYTES: Final = 16 * 1024
"""Memory for them, of one connection that opens. Of more, what follows soon shows what is missing."""


class Ahead(NamedTuple):
    """What has come so far, in the order of its arrival; nobody has vouched for any of it."""

    frames: tuple[Frame, ...] = ()
    via: AgentId = NO_AGENT
    """The peer that all of them came from."""

    def and_one(self, frame: Frame, via: AgentId) -> "Ahead":
        """This with ``frame``, or without it, if there is no room or it has come from another peer."""
        frames = self.frames
        held = sum(len(each.body) + FRAME_OVERHEAD_BYTES for each in frames)
        is_too_much = held + len(frame.body) + FRAME_OVERHEAD_BYTES > MOST_AHEAD_BYTES
        if is_too_much or (frames and via != self.via):
            return self
        return Ahead((*frames, frame), via)

    def of(self, number: int) -> tuple[Frame, ...]:
        """Those of the connection that was asked for under ``number``."""
        return tuple(frame for frame in self.frames if frame.connection == number)


NOTHING_AHEAD: Final = Ahead()
