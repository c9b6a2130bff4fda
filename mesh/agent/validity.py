"""When this agent's own certificate is valid, in words for its operator: not yet, not for long, no more."""

from datetime import UTC, datetime
from typing import Final

from mesh.agent.expiry import LEVELS, LOOK_S, Daily, Stage, day, stage_of, time_left
from mesh.agent.grants import renewal
from mesh.trust.certificates import NOT_BEFORE_TOLERANCE_S, Certificate

CLOCK_REMEDY: Final = "set the clock, if it is that which is wrong"


def ends_soon(certificate: Certificate, now_unix_s: float) -> str | None:
    """What an operator should do before the certificate ends, once that is near."""
    if _stage(certificate, now_unix_s) in (Stage.FINE, Stage.OVER):
        return None
    left = time_left(certificate.not_after - now_unix_s)
    return (
        f"the certificate of this agent expires on {day(certificate.not_after)}, in {left}; "
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
    end = day(certificate.not_after)
    return f"the certificate of this agent expired on {end} by this machine's clock: nobody links with it"


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


class Reminder:
    """What the log says of the certificate while the agent runs: when it changes, and every day.

    Args:
        certificate: this agent's own.
        now_unix_s: when the start has told of it.
    """

    def __init__(self, certificate: Certificate, now_unix_s: float) -> None:
        self.renewed(certificate, now_unix_s)

    def renewed(self, certificate: Certificate, now_unix_s: float) -> None:
        """This is the agent's own from now on; it has been told of."""
        self._certificate = certificate
        self._daily = Daily(self._judged(now_unix_s)[0], now_unix_s)

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """The level and the line to log now, if there is one."""
        stage, line = self._judged(now_unix_s)
        return (LEVELS[stage], line) if self._daily.is_due(stage, now_unix_s) else None

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look: at the end of the certificate it is told at once."""
        left_s = self._certificate.not_after - now_unix_s
        return min(LOOK_S, left_s) if left_s > 0 else LOOK_S

    def _judged(self, now_unix_s: float) -> tuple[Stage, str]:
        if problem := invalid(self._certificate, now_unix_s):
            return Stage.OVER, problem
        return _stage(self._certificate, now_unix_s), ends_soon(self._certificate, now_unix_s) or ""


def _stage(certificate: Certificate, now_unix_s: float) -> Stage:
    return stage_of(certificate.not_before, certificate.not_after, now_unix_s)
