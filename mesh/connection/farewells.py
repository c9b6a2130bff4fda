"""The FINs of connections that have ended here, for the other ends that have missed them.

An end that finishes second, when all its bytes are acknowledged, does not wait until its FIN is: the other
end repeats its own FIN until it has that. So the end leaves, and what answers such a repetition is kept here.
"""

from math import inf
from typing import Final, Generic, TypeVar

from mesh.link.frames import Frame, FrameType

FAREWELLS_S: Final = 30.0
"""How long they are kept: as long as the other end asks, by default (``connections.reroute_timeout``)."""

MAX_FAREWELLS: Final = 8_192
"""Kept at once, 500 bytes each; then the oldest go. An agent with that many in a second lets go after it."""

MAX_SAID: Final = 16
"""How often each is said: the other end asks 12 times in 30 s if nothing gets through. Nothing vouches for
whoever asks, so it must not cost much to be asked by others."""

_ASKING: Final = (FrameType.DATA, FrameType.FIN, FrameType.PROBE, FrameType.ACCEPT)
"""An exit that has not heard that it was chosen repeats its ACCEPT."""

K = TypeVar("K")


class Farewells(Generic[K]):
    """Keeps the last frame of each connection for a while, the oldest first."""

    def __init__(self) -> None:
        self._kept: dict[K, tuple[tuple[Frame, ...], float, int]] = {}
        """Frames, until when they are kept, and how often they may still be said."""

    def keep(self, key: K, frames: tuple[Frame, ...], now: float) -> None:
        """The connection ``key`` has ended here, and has said ``frames`` last."""
        kept = self._kept
        kept.pop(key, None)  # to the end
        kept[key] = frames, now + FAREWELLS_S, MAX_SAID
        if len(kept) > MAX_FAREWELLS:
            del kept[next(iter(kept))]

    def answer(self, key: K, asked: Frame) -> tuple[Frame, ...]:
        """What to send to whoever ``asked``: empty if nothing is kept, or that needs another answer."""
        words = self._kept.get(key)
        if words is None or asked.type not in _ASKING:
            return ()
        frames, until, left = words
        if left == 1:
            del self._kept[key]
        else:
            self._kept[key] = frames, until, left - 1
        return frames

    def forget(self, key: K) -> None:
        """Another connection has this name now, or nobody would understand them."""
        self._kept.pop(key, None)

    def expire(self, now: float) -> float:
        """Drop those that were kept for long enough; return when the next one will have been."""
        kept = self._kept
        while kept:
            key, (_, until, _) = next(iter(kept.items()))
            if until > now:
                return until
            del kept[key]
        return inf
