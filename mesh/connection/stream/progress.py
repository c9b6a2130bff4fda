"""Whether what this end sends arrives: a link may answer pings while its agent drops what it is to pass on.

Each end judges its own direction, by three signs:

- A segment is not acknowledged though the other end's ACKs and PROBEs arrive, which overtake all data.
- A PROBE says that no ACK or PROBE of this end has arrived since before this end answered an earlier one.
- Nothing is heard at all. That may be either direction's fault, so the other end, which would see the second
  sign, has a moment more to do something about its own.

A path that is merely slow shows none of them: a stream knows what its queue takes, and marks tell a new one
of queues. Nor does a receiver that takes no bytes: what its credit covered it acknowledges as it arrives.
"""

from math import inf
from typing import Final

from mesh.connection.stream.acknowledging import Acknowledger
from mesh.connection.stream.budget import StreamBudget
from mesh.connection.stream.effects import PathVerdict
from mesh.connection.stream.liveness import Liveness
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.send_half import SendHalf

UNHEARD_S: Final = 0.5
"""An answer that has not arrived after so long, and two round trips, is lost: nothing else goes first."""

STALL_S: Final = 0.75
"""A segment that is not acknowledged for so long has not arrived, though the other end answers."""

STALLED_ROUND_TRIPS: Final = 4
"""The same on a long path: the segment is repeated after two, and that is answered after a third."""

ANSWER_AFTER_S: Final = 0.2
"""An answer is evidence from so long after the segment: the least timeout until it is repeated."""

SLOW_BYTES_PER_S: Final = 32 * 1024
"""A segment may take as long as it does on such a path, which has no room for much else."""

UNKNOWN_BYTES_PER_S: Final = 8 * 1024
"""The same before any segment has been acknowledged, for all that the agent has under way: each relay takes a
segment in whole before it passes it on, and on such a path others may go first."""

MOST_UNKNOWN_S: Final = 8.0
"""And no longer than that."""

PROOF_S: Final = 1.0
"""Progress so soon after another path was taken, or within two round trips, is owed to that; it includes what
the other end needs to leave a path of its own."""

SILENCE_S: Final = 1.5
FIRST_SILENCE_S: Final = 2.5
SILENT_ROUND_TRIPS: Final = 8
"""The same, without any answer: since one has come, ever, or for so many round trips. By then the other end
has left, if it is its direction.

However late segments are, silence is borne for half of ``connections.reroute_timeout`` at the most, and an
answer that is missing for a quarter: an end leaves a broken path, and the other after it, before either gives
up."""

QUEUED_STALL_S: Final = 8.0
"""The same while queues are marked, for a stream that knows no queue: nothing has been acknowledged yet."""

MARKS_COUNT_S: Final = 2.0
"""How long the newest mark tells of queues."""

HELD_UP_S: Final = 0.1
"""What comes first after a while may have been held up with the segment: then that is acknowledged within so
long, or two round trips."""

MAX_DOUBTS: Final = 2
"""Doublings of the patience with each path that does not work either."""

QUEUED_PATIENCE: Final = 4
"""Times the patience after which a stalled connection is given up, where queues are marked: hundreds of bulk
transfers on a thin link take turns of half a minute."""


class Progress:
    """Judges the path from one end; asked only when something has gone unanswered."""

    __slots__ = (
        "_acknowledger",
        "_budget",
        "_is_loss",
        "_judged_from",
        "_liveness",
        "_reroute_timeout_s",
        "_rtt",
        "_sender",
        "_told_from",
        "_told_since",
        "doubts",
    )

    def __init__(
        self,
        sender: SendHalf,
        acknowledger: Acknowledger,
        liveness: Liveness,
        rtt: RoundTrip,
        *,
        budget: StreamBudget,
        reroute_timeout_s: float,
    ) -> None:
        self._sender = sender
        self._acknowledger = acknowledger
        self._liveness = liveness
        self._rtt = rtt
        self._budget = budget
        self._reroute_timeout_s = reroute_timeout_s
        self.doubts = 0
        """Paths that were doubted since one has worked."""
        self._is_loss = False
        """Whether any of them lost what the other end would have told of."""
        self._judged_from = -inf
        """When the present path was taken for a failed one's sake."""
        self._told_since = -inf
        """Since when the segment waits of which the other end might have told."""
        self._told_from = inf
        """When it was first heard thereafter."""

    def answer_late_s(self, now: float) -> float:
        """How long after an answer the other end would have had it, however slow the path."""
        late_s = max(self._sender.waited_s, self._budget.late_s(now))
        patience_s = min(max(UNHEARD_S, 2 * late_s), self._reroute_timeout_s / 4)
        return max(patience_s, 2 * (self._rtt.smoothed_s or 0.0))

    def failed(self, now: float) -> bool:
        """Whether nothing that is sent arrives, as far as one can tell."""
        return self._is_told(now) or now >= self._silent_until(now)

    def _is_told(self, now: float) -> bool:
        return now >= self._told_until(now) and now >= self._stalled_until(now)

    def look_again_at(self, now: float) -> float:
        """When that may be so, if nothing happens before."""
        looks = self._told_until(now), self._stalled_until(now), self._silent_until(now)
        return min((at for at in looks if at > now), default=inf)

    def hopeless(self, now: float) -> bool:
        """Whether segments have not arrived for so long that the connection is to be given up."""
        since = self._sender.stalled_since
        patience_s = self._reroute_timeout_s
        if now < since + patience_s or self._acknowledger.told_at < since:
            return False  # who is silent altogether is given up for that
        if now < self._budget.marked_at + MARKS_COUNT_S:
            patience_s *= QUEUED_PATIENCE
        return now >= since + max(patience_s, QUEUED_PATIENCE * self._rtt.stall_s)

    def doubted(self, now: float, *, is_loss: bool) -> bool:
        """The path is to be left for another; whether that is news.

        Args:
            now: monotonic seconds.
            is_loss: the other end has said that this end's answers get lost.
        """
        is_loss = is_loss or self._is_told(now)
        if now < self._judged_from + STALL_S:
            return False  # the present one has not had its time
        self._is_loss = is_loss or (self._is_loss and self.doubts > 0)
        self.doubts += 1
        self._judged_from = now
        self._acknowledger.answered_at = -inf
        return True

    def proved(self, silence_s: float, now: float) -> PathVerdict | None:
        """What an ACK or PROBE shows that has arrived after a doubt."""
        judged_from, sender = self._judged_from, self._sender
        heard = not sender.outstanding and silence_s < now - judged_from
        if heard or sender.progress_at > judged_from:
            self.doubts = 0
            took_s, rtt = now - judged_from, self._rtt
            # What comes sooner than any path can answer was on its way already.
            is_owed = rtt.minimum_s / 4 <= took_s <= max(PROOF_S, 2 * (rtt.smoothed_s or 0.0))
            if not is_owed:
                return PathVerdict.HELPED
            return PathVerdict.PROVED if self._is_loss else PathVerdict.HEARD
        return None

    @property
    def _waits_since(self) -> float:
        """Since when the first unacknowledged segment waits on the present path."""
        return max(self._sender.stalled_since, self._judged_from)

    @property
    def _slow_s(self) -> float:
        """What the first unacknowledged segment may take on a path that is merely slow."""
        size = self._sender.first_bytes
        if self._rtt.is_of_segments:
            return size / SLOW_BYTES_PER_S
        return min(size * self._budget.unacknowledged_segments / UNKNOWN_BYTES_PER_S, MOST_UNKNOWN_S)

    def _patience_s(self, least_s: float, now: float) -> float:
        late_s = 2 * self._budget.late_s(now)
        return max(least_s * (1 << min(self.doubts, MAX_DOUBTS)), self._rtt.stall_s, late_s)

    def _stalled_until(self, now: float) -> float:
        """When a segment that was repeated should have arrived; infinity if there is none."""
        sender = self._sender
        if not sender.repeats:
            return inf
        pace_s = max(self._slow_s, 2 * sender.waited_s)
        queued = not sender.acknowledged_number and now < self._budget.marked_at + MARKS_COUNT_S
        patience_s = self._patience_s(QUEUED_STALL_S if queued else STALL_S, now)
        answered_s = STALLED_ROUND_TRIPS * (self._rtt.smoothed_s or 0.0)
        return self._waits_since + max(patience_s, pace_s, answered_s)

    def _told_until(self, now: float) -> float:
        """When the other end should have told of the segment; infinity if nothing has come since it waits.

        What comes first may itself have waited, where everything was held up for a while and nothing is lost.
        """
        acknowledger, since = self._acknowledger, self._waits_since
        told_at = acknowledger.told_at
        if told_at < since + ANSWER_AFTER_S:
            return inf
        if self._told_since != since:
            self._told_since, self._told_from = since, told_at
        if self._rtt.sampled_at >= acknowledger.asked_at >= since:
            return told_at  # what was sent after the segment has been answered
        return self._told_from + max(HELD_UP_S, 2 * (self._rtt.smoothed_s or 0.0))

    def _silent_until(self, now: float) -> float:
        """When nothing has been heard for too long; infinity if nothing is owed."""
        silent_s = self._liveness.silent_s(now)
        if not silent_s:
            return inf
        silence_s = SILENCE_S if self._liveness.heard else FIRST_SILENCE_S
        least_s = max(silence_s, SILENT_ROUND_TRIPS * (self._rtt.smoothed_s or 0.0))
        patience_s = max(self._patience_s(least_s, now), self._slow_s)
        return max(now - silent_s, self._judged_from) + min(patience_s, self._reroute_timeout_s / 2)
