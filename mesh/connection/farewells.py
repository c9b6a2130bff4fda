"""The FINs of connections that have ended here, for the other ends that have missed them.

An end that finishes second, when all its bytes are acknowledged, does not wait until its FIN is: the other
end repeats its own FIN until it has that. So the end leaves, and what answers such a repetition is kept here.
"""

from math import inf
from typing import Final, Generic, TypeVar

from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId

FAREWELLS_S: Final = 30.0
"""How long they are kept: as long as the other end asks, by default (``connections.reroute_timeout``)."""

MAX_FAREWELLS: Final = 8_192
"""Kept at once, 650 bytes each. Of more the oldest goes of the agent that has most: one that ends connection
after connection takes none from others."""

EXPIRY_S: Final = 1.0
"""They are looked through no more often, and kept so much longer at the most."""

MAX_SAID: Final = 16
"""How often each is said: the other end asks 12 times in 30 s if nothing gets through. Nothing vouches for
whoever asks, so it must not cost much to be asked by others."""

_ASKING: Final = (FrameType.DATA, FrameType.FIN, FrameType.PROBE, FrameType.ACCEPT)
"""An exit that has not heard that it was chosen repeats its ACCEPT."""

K = TypeVar("K")


class Farewells(Generic[K]):
    """Keeps the last frame of each connection for a while; ``remote`` is the agent at its other end."""

    def __init__(self) -> None:
        self._kept: dict[AgentId, dict[K, tuple[tuple[Frame, ...], float, int]]] = {}
        """By remote, the oldest first: frames, until when they are kept, how often they may still be said."""
        self._count = 0

    def keep(self, remote: AgentId, key: K, frames: tuple[Frame, ...], now: float) -> None:
        """The connection ``key`` has ended here, and has said ``frames`` last."""
        self.forget(remote, key)  # to the end
        kept = self._kept.get(remote)
        if kept is None:
            kept = self._kept[remote] = {}
        kept[key] = frames, now + FAREWELLS_S, MAX_SAID
        self._count += 1
        if self._count > MAX_FAREWELLS:
            most = max(self._kept, key=lambda each: len(self._kept[each]))
            self.forget(most, next(iter(self._kept[most])))

    def answer(self, remote: AgentId, key: K, asked: Frame) -> tuple[Frame, ...]:
        """What to send to whoever ``asked``: empty if nothing is kept, or that needs another answer."""
        kept = self._kept.get(remote)
        words = None if kept is None else kept.get(key)
        if kept is None or words is None or asked.type not in _ASKING:
            return ()
        frames, until, left = words
        if left == 1:
            self.forget(remote, key)
        else:
            kept[key] = frames, until, left - 1
        return frames

    def forget(self, remote: AgentId, key: K) -> None:
        """Another connection has this name now, or nobody would understand them."""
        kept = self._kept.get(remote)
        if kept is not None and kept.pop(key, None) is not None:
            self._count -= 1
            if not kept:
                del self._kept[remote]

    def expire(self, now: float) -> float:
        """Drop those that were kept for long enough; return when to look again."""
        due = inf
        for remote, kept in tuple(self._kept.items()):
            while kept:
                key, (_, until, _) = next(iter(kept.items()))
                if until > now:
                    due = min(due, until)
                    break
                self.forget(remote, key)
        return max(due, now + EXPIRY_S)
