"""The replay windows of an exit, one for each ingress: of its present instance."""

from collections.abc import Container
from typing import Final

from mesh.connection.former_instances import FormerInstances
from mesh.connection.replay_window import ReplayWindow
from mesh.trust.identity import AgentId, Instance

REPLAY_WINDOW: Final = 65_536
"""Numbers below the newest one that an ingress may still use: far more than it can have under way at once, so
an OPEN that was ignored for lack of room, and is repeated, is not taken for a replay."""

MAX_WINDOWS: Final = 4_096
"""Replay windows kept for agents that are gone; of what is beyond only the highest number is remembered."""


class ReplayWindows:
    """Finds them, and lets go of those that nobody asks for any more."""

    def __init__(self) -> None:
        self._windows: dict[AgentId, tuple[Instance, ReplayWindow]] = {}
        self._former = FormerInstances()

    def __len__(self) -> int:
        return len(self._windows)

    def of(self, source: AgentId, instance: Instance) -> ReplayWindow:
        """That of this instance of an ingress, which is its present one; others of it are over."""
        known = self._windows.get(source)
        if known is None or known[0] != instance:
            if known is not None:
                self._former.add(source, *known)
            used_up_to = self._former.used_up_to(source, instance)
            known = (instance, ReplayWindow(REPLAY_WINDOW, used_up_to=used_up_to))
            self._windows[source] = known
        return known[1]

    def let_go(self, present: Container[AgentId]) -> tuple[AgentId, ...]:
        """If there are too many, forget those of ingresses that are not ``present``: which they were."""
        if len(self._windows) <= MAX_WINDOWS:
            return ()
        gone = tuple(source for source in self._windows if source not in present)
        for source in gone:
            self._former.add(source, *self._windows.pop(source))
        return gone
