"""A link whose agent decides anew about each frame that it is to pass on."""

from typing import Any

from actors.links.peer_link import PeerLink
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class MeddlingLink(PeerLink):
    """Passes on what comes, as any link; subclasses override :meth:`_pass_on`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._honest = self._forwarding
        self._pass_frames_on = self._pass_on

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        """Frames have come that go on to ``destination``."""
        self._honest.pass_on(destination, frames)
