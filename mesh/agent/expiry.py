"""When people are told that a certificate ends: a month, a week and a day before, each day, and when it has.

A certificate for days is renewed by itself when two thirds of its time are over, so nothing is said of one
before that was due and tried some times: the notice is a quarter of its time, if that is less.
"""

import enum
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

DAY_S: Final = 86_400

NOTICE_S: Final = 30 * DAY_S
"""A month to renew a certificate before it ends."""
NOTICE_SHARE: Final = 4
"""The notice is this part of the certificate's time, if that is less."""

WEEK_S: Final = 7 * DAY_S
WEEK_SHARE: Final = 10

LAST_S: Final = DAY_S
LAST_SHARE: Final = 25
"""With so little left, or this part of its time, the log says it as an error."""

REMIND_S: Final = DAY_S
"""How often the log says it again."""

LOOK_S: Final = 60.0
"""How often the clock is read: it may jump, so no single timer would do."""


class Stage(enum.Enum):
    """How near the end of a certificate is; each stage is told when it begins."""

    FINE = enum.auto()
    MONTH = enum.auto()
    WEEK = enum.auto()
    DAY = enum.auto()
    OVER = enum.auto()
    """It has ended, or is of no use for another reason of time."""


LEVELS: Final[Mapping[Stage, int]] = MappingProxyType(
    {
        Stage.MONTH: logging.WARNING,
        Stage.WEEK: logging.WARNING,
        Stage.DAY: logging.ERROR,
        Stage.OVER: logging.ERROR,
    }
)

_BEFORE_THE_END: Final = (
    (Stage.DAY, LAST_S, LAST_SHARE),
    (Stage.WEEK, WEEK_S, WEEK_SHARE),
    (Stage.MONTH, NOTICE_S, NOTICE_SHARE),
)


def stage_of(begins: float, ends: float, now: float) -> Stage:
    """How near the end of a certificate is that is valid between these; all in Unix seconds."""
    left_s = ends - now
    if left_s <= 0:
        return Stage.OVER
    for stage, at_most_s, share in _BEFORE_THE_END:
        if left_s < min(at_most_s, (ends - begins) / share):
            return stage
    return Stage.FINE


class Daily:
    """When the log speaks of one certificate: at each stage that begins, and a day after it has spoken last.

    Args:
        stage: that has been told of.
        now: when, in Unix seconds.
    """

    def __init__(self, stage: Stage, now: float) -> None:
        self._stage, self._told_at = stage, now

    def is_due(self, stage: Stage, now: float) -> bool:
        """Whether it is to speak now, which it then does. A clock that was set back silences nothing."""
        before, self._stage = self._stage, stage
        if stage is Stage.FINE or (stage is before and 0 <= now - self._told_at < REMIND_S):
            return False
        self._told_at = now
        return True


def day(unix_s: float) -> str:
    """The end of a certificate, for people."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M UTC}"


def time_left(seconds: float) -> str:
    """How long it is until then, in a unit that fits."""
    if seconds >= 2 * DAY_S:
        return f"{seconds / DAY_S:.1f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} minutes"
