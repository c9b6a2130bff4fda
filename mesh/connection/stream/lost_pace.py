"""Whether a receive window has become too small because others fill the path, and how large it is to be.

The window follows the smallest round trip, which a path had while it was empty. If somebody else begins to
fill the buffers along it, that window is a small part of what waits there, and its pace falls with it. The
smallest round trip shows that only many seconds later, the pace at once. But a pace may also be lost because
the line became slow or the sender has less to send, and then a larger window would only lengthen a queue. So
it is tried: if most of the pace is lost the window grows, and it stays so only if that brings some back.

Lines and machines have no even pace, so one comparison may be wrong either way. What it says is looked at
again: a window that was given up is tried again if less comes without it, and one that has helped is but
halved for a moment when a still larger one did not.

==========  =================================  ==========================================================
phase       judges                             and goes on to
==========  =================================  ==========================================================
watching    periods, one after the other       trying, when two of them have lost the pace
trying      the pace with a larger window      watching, if it helps; else reviewing, with the first one,
                                               or half of one that had helped before
reviewing   the pace with that window          watching: with the larger one that had helped, or may have,
                                               if less comes without it
==========  =================================  ==========================================================
"""

import enum
from math import inf
from typing import Final

LOST: Final = 0.45
"""Part of the former pace below which it counts as lost: beside one other a fair part is half."""

REGAINED: Final = 0.8
"""Part of the former pace from which on the others have gone."""

HELPED: Final = 1.2
"""A larger window stays if the pace becomes so many times what it was: on a line that has merely become slow
it does not change, and beside others it grows by a third or more until the part is fair."""

MISSED: Final = 1.1
"""A larger window that was given up had helped after all if the pace with it was so many times what it is
without: less than ``HELPED``, for the longer queue costs less than a part of the line."""

AMPLE: Final = 1.5
"""Times what others have on the path: as much is a fair part, if buffers give it; the rest is for chance."""

LEAST_GROWTH: Final = 2
MOST_GROWTH: Final = 4
"""Times that a window grows in one trial: more would be a long queue if it turns out not to help."""

PERIOD_S: Final = 0.25
MAX_PERIOD_S: Final = 8.0
"""A pace is taken over a window and at least the former time. What takes longer than the latter is no
transfer."""

LOST_PERIODS: Final = 2
"""After so many the pace is lost: in the first the others may just have begun."""

LEAST_TRIAL_WINDOWS: Final = 2
TRIAL_WINDOWS: Final = 4
TRIAL_S: Final = 2.0
"""How much has to arrive until a trial has helped; and after how much, or how long, it has not."""

REVIEW_S: Final = 1.0
"""How long the pace without it is looked at, at the least."""

USUAL_PERIODS: Final = 4
"""The former pace is the best that so many periods have had together: a single one may be far above it."""

REMEMBERED_S: Final = 10.0
"""How long the best pace counts, to twice that: as long as the smallest round trip does."""

QUEUED_S: Final = 0.01
"""What is under way takes at least so long to arrive: on a faster path nobody waits for it."""


class Phase(enum.Enum):
    """What the present period is for."""

    WATCHING = "watching"
    TRYING = "trying"
    REVIEWING = "reviewing"


class LostPace:
    """Watches the pace of a stream as it arrives.

    Args:
        cap_bytes: no window is larger.
    """

    __slots__ = (
        "_attainable",
        "_begun_at",
        "_begun_bytes",
        "_best",
        "_best_ends_at",
        "_cap",
        "_former_best",
        "_former_least",
        "_lost_periods",
        "_pace_before",
        "_pace_tried",
        "_phase",
        "_reference",
        "_tried_bytes",
        "_usual",
        "least_bytes",
    )

    def __init__(self, cap_bytes: int) -> None:
        self._cap = cap_bytes
        self.least_bytes = 0
        """The window is to be at least so large."""
        self._former_least = self._tried_bytes = 0
        """The same before the latest trial, and in it."""
        self._phase = Phase.WATCHING
        self._begun_bytes = 0
        """Bytes received at the start of the period; more than have been while a former window passes."""
        self._begun_at = 0.0
        self._usual = 0.0
        """Smoothed over ``USUAL_PERIODS``. Paces are in bytes a second."""
        self._best = self._former_best = 0.0
        """Of it."""
        self._best_ends_at = 0.0
        self._reference = 0.0
        """What the stream had before others came; kept while the window is larger for its sake."""
        self._attainable = inf
        """What a larger window did not get beyond."""
        self._lost_periods = 0
        self._pace_before = self._pace_tried = 0.0
        """Before the latest trial, and in it."""

    def round_over(self, received_bytes: int, now: float, window_bytes: int) -> None:
        """Look at the stream once more; the more often the more exact, but once in a round is enough.

        Args:
            received_bytes: since the stream's start.
            now: seconds.
            window_bytes: the present window.
        """
        byte_count, elapsed_s = received_bytes - self._begun_bytes, now - self._begun_at
        if byte_count <= 0:  # what a former window let through is still to come
            self._begun_at = now
        elif elapsed_s > MAX_PERIOD_S:
            if self._phase is Phase.TRYING:
                self._attainable = byte_count / elapsed_s
            self.least_bytes = 0
            self._watch(received_bytes, now)
        elif elapsed_s >= PERIOD_S and byte_count >= window_bytes:
            pace = byte_count / elapsed_s
            if self._phase is Phase.TRYING:
                if byte_count >= LEAST_TRIAL_WINDOWS * window_bytes:
                    is_over = elapsed_s >= TRIAL_S or byte_count >= TRIAL_WINDOWS * window_bytes
                    self._judge_trial(received_bytes, pace, now, window_bytes, is_over=is_over)
                return
            if self._phase is Phase.WATCHING:
                self._begin(received_bytes, now)
                self._judge(pace, now, window_bytes)
            elif elapsed_s >= REVIEW_S:
                self._begin(received_bytes, now)
                self._review(pace)

    def hindered(self, received_bytes: int, now: float) -> None:
        """The local socket does not take what arrives: it sets the pace, and a larger window would fill."""
        self.least_bytes = 0
        self._watch(received_bytes, now)

    def _begin(self, begun_bytes: int, now: float) -> None:
        self._begun_bytes, self._begun_at = begun_bytes, now

    def _watch(self, begun_bytes: int, now: float) -> None:
        self._phase = Phase.WATCHING
        self._lost_periods = 0
        self._begin(begun_bytes, now)

    def _judge(self, pace: float, now: float, window_bytes: int) -> None:
        if window_bytes > self.least_bytes:
            self.least_bytes = 0  # the window is so large without it
        self._usual += (pace - self._usual) / USUAL_PERIODS if self._usual else pace
        if not self.least_bytes:
            self._reference = self._best_of_late(now)
        elif pace >= REGAINED * self._reference:
            self.least_bytes = 0
        if pace >= HELPED * self._attainable:
            self._attainable = inf
        lost = LOST * min(self._reference, self._attainable)
        if not self.least_bytes and self._attainable < inf:
            lost = max(lost, min(self._attainable / HELPED, LOST * self._reference))
        is_lost = pace < lost and window_bytes >= QUEUED_S * pace
        self._lost_periods = self._lost_periods + 1 if is_lost else 0
        if self._lost_periods >= LOST_PERIODS and window_bytes < self._cap:
            self._phase = Phase.TRYING
            self._pace_before = pace
            others = window_bytes * (self._reference / pace - 1)
            larger = max(min(int(AMPLE * others), MOST_GROWTH * window_bytes), LEAST_GROWTH * window_bytes)
            self._former_least, self.least_bytes = self.least_bytes, min(larger, self._cap)
            self._tried_bytes = self.least_bytes
            self._begin(self._begun_bytes + window_bytes, now)

    def _judge_trial(
        self, received_bytes: int, pace: float, now: float, window_bytes: int, *, is_over: bool
    ) -> None:
        if pace >= min(HELPED * self._pace_before, LOST * self._reference):
            self._watch(received_bytes, now)
        elif is_over:
            self._attainable = self._pace_tried = pace
            self.least_bytes = self._former_least // 2
            self._phase = Phase.REVIEWING
            self._begin(received_bytes + window_bytes, now)

    def _review(self, pace: float) -> None:
        self._phase = Phase.WATCHING
        self._lost_periods = 0
        if pace * MISSED <= self._pace_tried:
            self.least_bytes = self._former_least or self._tried_bytes
            if not self._former_least:
                self._attainable = inf

    def _best_of_late(self, now: float) -> float:
        """The best usual pace of the last ten to twenty seconds, the present one included."""
        if now >= self._best_ends_at:
            is_stale = now >= self._best_ends_at + REMEMBERED_S
            self._former_best, self._best = 0.0 if is_stale else self._best, self._usual
            self._best_ends_at = now + REMEMBERED_S
        self._best = max(self._best, self._usual)
        return max(self._best, self._former_best)
