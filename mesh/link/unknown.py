"""The answers to frames of connections that are not known where they are for."""

from typing import Final

from mesh.link.frames import Frame, FrameType
from mesh.token_bucket import TokenBucket

UNKNOWN_RATE: Final = 100.0
"""UNKNOWN answers a second: enough to end stale connections, too few to be of use as an amplifier."""

UNKNOWN_BURST: Final = 200.0

_UNANSWERED: Final = (FrameType.UNKNOWN, FrameType.OPEN, FrameType.REJECT)


class UnknownAnswers:
    """Makes them, as many as there may be."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(UNKNOWN_RATE, UNKNOWN_BURST)

    def to(self, frame: Frame, now: float) -> tuple[Frame, ...]:
        """What tells the sender of ``frame`` that its connection is not known; unauthenticated, so a hint.

        At most one frame; ``now`` is monotonic seconds.
        """
        return () if frame.type in _UNANSWERED else self.to_open(frame, now)

    def to_open(self, frame: Frame, now: float) -> tuple[Frame, ...]:
        """The same of an OPEN, whose pair session is not known."""
        if not self._bucket.take(now):
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
