"""A link whose agent decides anew about each frame that it is to pass on."""

from collections.abc import Callable
from typing import Any

from actors.links.forwarding import LinkForwarding
from actors.links.peer_link import PeerLink
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class _Meddled:
    """Stands for the forwarding of a link: passes frames on otherwise, and is that for the rest."""

    __slots__ = ("_honest", "pass_on")

    def __init__(self, honest: LinkForwarding, pass_on: Callable[[AgentId, list[Frame]], None]) -> None:
        object.__setattr__(self, "_honest", honest)
        object.__setattr__(self, "pass_on", pass_on)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._honest, name, value)


class MeddlingLink(PeerLink):
    """Passes on what comes, as any link; subclasses override :meth:`_pass_on`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._honest = self._forwarding
        self._forwarding = _Meddled(self._honest, self._pass_on)  # type: ignore[assignment]

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        """Frames have come that go on to ``destination``."""
        self._honest.pass_on(destination, frames)
