"""The answers to frames of connections that are not known where they are for."""

from typing import Final

from mesh.link.frames import Frame, FrameType
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

UNKNOWN_RATE: Final = 100.0
"""UNKNOWN answers a second to one agent by one peer: enough to end stale connections."""

UNKNOWN_BURST: Final = 200.0
"""At once."""

MAX_ASKING: Final = 4_096
"""Agents, and peers that their frames come by, whose rate is remembered; of more the first is forgotten."""

_UNANSWERED: Final = (FrameType.UNKNOWN, FrameType.OPEN, FrameType.REJECT)


class UnknownAnswers:
    """Makes them, as many as there may be.

    Nothing vouches for who has sent a frame, but the peer that it came by is certain: so nobody can use up
    another's answers, not even in its name, from beside its way. An answer is smaller than what it is to.
    """

    def __init__(self) -> None:
        self._buckets: dict[tuple[AgentId, AgentId], TokenBucket] = {}
        """By peer and source."""

    def to(self, frame: Frame, via: AgentId, now: float) -> tuple[Frame, ...]:
        """What tells the sender of ``frame`` that its connection is not known; unauthenticated, so a hint.

        At most one frame; ``via`` is the peer that it came by, ``now`` monotonic seconds.
        """
        return () if frame.type in _UNANSWERED else self.to_open(frame, via, now)

    def to_open(self, frame: Frame, via: AgentId, now: float) -> tuple[Frame, ...]:
        """The same of an OPEN, whose pair session is not known."""
        bucket = self._buckets.get((via, frame.source))
        if bucket is None:
            if len(self._buckets) >= MAX_ASKING:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[via, frame.source] = TokenBucket(UNKNOWN_RATE, UNKNOWN_BURST)
        if not bucket.take(now):
            return ()
        answer = Frame(
            type=FrameType.UNKNOWN,
            from_exit=not frame.from_exit,
            source=frame.destination,
            destination=frame.source,
            connection=frame.connection,
            number=0,
            body=b"",
        )
        return (answer,)
