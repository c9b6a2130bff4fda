"""When this agent's own certificate is valid, in words for its operator: not yet, not for long, no more."""

import enum
import logging
from datetime import UTC, datetime
from typing import Final

from mesh.agent.grants import renewal
from mesh.trust.certificates import NOT_BEFORE_TOLERANCE_S, Certificate

DAY_S: Final = 86_400

NOTICE_S: Final = 30 * DAY_S
"""A month to renew a certificate before its agent loses its links."""

NOTICE_SHARE: Final = 10
"""The notice is this part of the certificate's life, if that is less: one for a day is renewed every day."""

LAST_S: Final = DAY_S
LAST_SHARE: Final = 100
"""With so little left, or this part of the life, the log says it as an error."""

REMIND_S: Final = DAY_S
"""How often the log says it again."""

CLOCK_REMEDY: Final = "set the clock, if it is that which is wrong"

LOOK_S: Final = 60.0
"""How often the clock is read: it may jump, so no single timer would do."""


def ends_soon(certificate: Certificate, now_unix_s: float) -> str | None:
    """What an operator should do before the certificate ends, once that is near."""
    life_s, left_s = certificate.not_after - certificate.not_before, certificate.not_after - now_unix_s
    if not 0 < left_s < min(NOTICE_S, life_s / NOTICE_SHARE):
        return None
    return (
        f"the certificate of this agent expires on {_day(certificate)}, in {_time_left(left_s)}; "
        f"its links close then; {renewal(certificate)}"
    )


def invalid(certificate: Certificate, now_unix_s: float) -> str | None:
    """What is wrong if this agent's own certificate has expired, or the clock was set to before its start."""
    over = expired(certificate, now_unix_s)
    return early(certificate, now_unix_s) if over is None else f"{over}; {renewal(certificate)}"


def expired(certificate: Certificate, now_unix_s: float) -> str | None:
    """What is wrong if this agent's own certificate has expired; :func:`renewal` is what to do."""
    if now_unix_s < certificate.not_after:
        return None
    return f"the certificate of this agent expired on {_day(certificate)}: nobody links with it"


def early(certificate: Certificate, now_unix_s: float) -> str | None:
    """What is wrong if the certificate's validity has not begun."""
    if now_unix_s >= certificate.not_before - NOT_BEFORE_TOLERANCE_S:
        return None
    times = two_times(certificate, now_unix_s)
    return f"the certificate of this agent is not valid yet: {times}; {CLOCK_REMEDY}"


def two_times(certificate: Certificate, now_unix_s: float) -> str:
    """The certificate's start and the clock, for people to see which one is wrong."""
    start, clock = (
        f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%d %H:%M:%S UTC}"
        for at in (certificate.not_before, now_unix_s)
    )
    return f"it begins at {start}, and this machine's clock shows {clock}"


class _Stage(enum.Enum):
    """How near the end of the certificate is; each stage is told when it begins."""

    FINE = enum.auto()
    SOON = enum.auto()
    LAST = enum.auto()
    INVALID = enum.auto()


_LEVELS: Final = {_Stage.SOON: logging.WARNING, _Stage.LAST: logging.ERROR, _Stage.INVALID: logging.ERROR}


class Reminder:
    """What the log says of the certificate while the agent runs: when it changes, and every day.

    Args:
        certificate: this agent's own.
        now_unix_s: when the start has told of it.
    """

    def __init__(self, certificate: Certificate, now_unix_s: float) -> None:
        self._certificate = certificate
        self._told_at = now_unix_s
        self._stage = self._judged(now_unix_s)[0]

    def renewed(self, certificate: Certificate, now_unix_s: float) -> None:
        """This is the agent's own from now on; it has been told of."""
        self._certificate, self._told_at = certificate, now_unix_s
        self._stage = self._judged(now_unix_s)[0]

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """The level and the line to log now, if there is one."""
        stage, line = self._judged(now_unix_s)
        before, self._stage = self._stage, stage
        if not line or (stage is before and 0 <= now_unix_s - self._told_at < REMIND_S):
            return None
        self._told_at = now_unix_s
        return _LEVELS[stage], line

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look: at the end of the certificate it is told at once."""
        left_s = self._certificate.not_after - now_unix_s
        return min(LOOK_S, left_s) if left_s > 0 else LOOK_S

    def _judged(self, now_unix_s: float) -> tuple[_Stage, str]:
        if problem := invalid(self._certificate, now_unix_s):
            return _Stage.INVALID, problem
        warning = ends_soon(self._certificate, now_unix_s)
        if warning is None:
            return _Stage.FINE, ""
        certificate = self._certificate
        life_s, left_s = certificate.not_after - certificate.not_before, certificate.not_after - now_unix_s
        is_last = left_s <= min(LAST_S, life_s / LAST_SHARE)
        return _Stage.LAST if is_last else _Stage.SOON, warning


def _day(certificate: Certificate) -> str:
    return f"{datetime.fromtimestamp(certificate.not_after, UTC):%Y-%m-%d %H:%M UTC}"


def _time_left(seconds: float) -> str:
    if seconds >= 2 * DAY_S:
        return f"{seconds / DAY_S:.1f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} minutes"
