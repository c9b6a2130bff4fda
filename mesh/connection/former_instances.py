"""Up to which number the instances of ingresses have opened connections that are not the present ones.

A record that was replayed, when those newer than it are forgotten, brings back an instance of long ago, and
with it the OPENs that somebody recorded. They were used, so they are refused; a running agent whose
instance comes back (another had its key for a while) goes on above them.
"""

from typing import Final

from mesh.connection.replay_window import ReplayWindow
from mesh.trust.identity import AgentId, Instance

MAX_FORMER: Final = 64
"""Instances of one ingress that are remembered, at some 100 bytes each; the oldest is forgotten first."""

MAX_INGRESSES: Final = 20_000
"""Ingresses whose former instances are remembered; beyond the number of agents in a mesh."""


class FormerInstances:
    """Remembers the highest number of each."""

    def __init__(self) -> None:
        self._used: dict[AgentId, dict[Instance, int]] = {}

    def add(self, source: AgentId, instance: Instance, window: ReplayWindow) -> None:
        """This instance of ``source`` has another in its place, or is gone."""
        if window.highest < 0:
            return
        of_source = self._used.pop(source, {})
        if len(self._used) >= MAX_INGRESSES:
            del self._used[next(iter(self._used))]
        self._used[source] = of_source
        before = of_source.pop(instance, -1)
        if len(of_source) >= MAX_FORMER:
            del of_source[next(iter(of_source))]
        of_source[instance] = max(before, window.highest)

    def used_up_to(self, source: AgentId, instance: Instance) -> int:
        """The highest number that ``instance`` has used; -1 if none is known."""
        return self._used.get(source, {}).get(instance, -1)
