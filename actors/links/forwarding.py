"""Passing frames on: from the link that brought them straight to the link that leads on."""

from collections.abc import Mapping
from types import MappingProxyType

from actors.messages.peer_link import SendFrames
from actors.meters import Meters
from actors.runtime.seam import Ref
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class LinkForwarding:
    """The way on for what one link brings; it remembers nothing of what passes.

    Args:
        own: the link itself.
        meters: what the agent counts.
        max_hops: links that a frame may still cross, whatever it says.
    """

    __slots__ = ("_max_hops", "_meters", "_own", "links")

    def __init__(self, own: Ref[SendFrames], meters: Meters, max_hops: int) -> None:
        self._own = own
        self._meters = meters
        self._max_hops = max_hops
        self.links: Mapping[AgentId, Ref[SendFrames]] = MappingProxyType({})
        """Destination to the link that leads there."""

    def onward(self, destination: AgentId, frames: list[Frame]) -> tuple[Ref[SendFrames], SendFrames] | None:
        """The link that leads to ``destination`` and what it is to send, a hop less to go.

        ``None`` if no other link leads there, or nothing goes any further. What does not is counted.
        """
        meters = self._meters
        link = self.links.get(destination)
        if link is None or link is self._own:  # two agents that disagree would pass it to and fro
            meters.frames_unroutable += len(frames)
            return None
        max_hops = self._max_hops
        passed = []
        byte_count = 0
        for frame in frames:
            if frame.hop_limit > 1:
                passed.append(frame.after_a_hop(max_hops))
                byte_count += len(frame.body)
            else:
                meters.frames_expired += 1
        if not passed:
            return None
        meters.frames_forwarded += len(passed)
        meters.bytes_forwarded += byte_count
        return link, SendFrames(tuple(passed))
