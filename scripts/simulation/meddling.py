"""A link whose agent decides anew about each frame that it is to pass on."""

from actors.links.peer_link import PeerLink
from mesh.link.carried import PassOn
from mesh.link.effects import LinkEffects
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed


class MeddlingLink(PeerLink):
    """Passes on what comes, as any link; subclasses override :meth:`_pass_on`."""

    def _do(self, wanted: LinkEffects) -> None:
        for effect in wanted:
            if isinstance(effect, PassOn):
                self._pass_on(effect.destination, effect.frames)
            else:
                super()._do((effect,))

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        """Frames have come that go on to ``destination``."""
        # Copies: who meddles may keep one, or pass it twice, and passing on changes a frame.
        self._forwarding.pass_on(destination, [changed(frame) for frame in frames])
