"""A link whose agent decides anew about each frame that it is to pass on."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from actors.links.peer_link import PeerLink
from actors.messages.peer_link import SendFrames
from actors.runtime.seam import Ref
from mesh.link.frames import Frame
from mesh.link.handshake import EstablishedLink
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId


class _Meddled(NamedTuple):
    """Stands for the forwarding of a link: all that a link asks of it."""

    follow: Callable[[Mapping[AgentId, Ref[SendFrames]], RouteSnapshot | None, EstablishedLink], None]
    pass_on: Callable[[AgentId, list[Frame]], None]


class MeddlingLink(PeerLink):
    """Passes on what comes, as any link; subclasses override :meth:`_pass_on`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._honest = self._forwarding
        self._forwarding = _Meddled(self._honest.follow, self._pass_on)  # type: ignore[assignment]

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        """Frames have come that go on to ``destination``."""
        self._honest.pass_on(destination, frames)
