"""The certificate of ``http.tls``: when it ends, in words for its operator, and when the log speaks of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.expiry import LEVELS, LOOK_S, Daily, Stage, day, stage_of, time_left
from mesh.agent.file_stamps import Stamp, stamp_of
from mesh.agent.regular_files import opened
from mesh.config.schema import HttpSection

MAX_FILE_BYTES: Final = 1024 * 1024
"""More than a certificate has with all that are between it and a root."""

REMEDY: Final = (
    "have its authority make another and put both files in the place of the old ones: they are read within "
    "two seconds of the next client"
)


class WebCertificate(msgspec.Struct, frozen=True):
    """When those in a file are valid, all of them at once; Unix seconds."""

    file: Path
    begins: float
    ends: float


class WebCertificates:
    """Reads the file at ``http.tls.certificate`` when it has changed; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: tuple[Path, Stamp, WebCertificate | None] = Path(), (), None

    def of(self, http: HttpSection | None) -> WebCertificate | None:
        """What is in the file now; ``None`` if there is no such file, or nothing in it that could be used.

        Whoever serves clients says what is wrong with it then, and goes on with what there was.
        """
        if http is None or http.tls is None:
            return None
        file = http.tls.certificate
        with self._lock:
            stamp = stamp_of(file)
            if self._read[:2] != (file, stamp):
                self._read = file, stamp, _read(file)
            return self._read[2]


def _read(file: Path) -> WebCertificate | None:
    from cryptography import x509  # noqa: PLC0415 -- few agents need it

    try:
        with opened(file) as found:
            chain = x509.load_pem_x509_certificates(found.read(MAX_FILE_BYTES))
        begins = max(each.not_valid_before_utc.timestamp() for each in chain)
        return WebCertificate(file, begins, min(each.not_valid_after_utc.timestamp() for each in chain))
    except (OSError, ValueError, x509.InvalidVersion):
        return None


def web_warning(found: WebCertificate | None, now_unix_s: float) -> str:
    """What is wrong with the time of the certificate, or soon will be; empty if nothing is."""
    stage = _stage(found, now_unix_s)
    if found is None or stage is Stage.FINE:
        return ""
    what = f"the certificate of http.tls ({found.file})"
    if stage is Stage.OVER:
        return f"{what} expired on {day(found.ends)}: browsers and programs refuse it"
    left = time_left(found.ends - now_unix_s)
    return f"{what} expires on {day(found.ends)}, in {left}; browsers and programs refuse it then"


class WebReminder:
    """What the log says of it while the agent runs: each day from a month before its end.

    Args:
        certificate: that of now.
    """

    def __init__(self, certificate: Callable[[], WebCertificate | None]) -> None:
        self._certificate = certificate
        self._daily = Daily(Stage.FINE, 0.0)

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """The level and the line to log now, if there is one."""
        found = self._certificate()
        stage = _stage(found, now_unix_s)
        if not self._daily.is_due(stage, now_unix_s):
            return None
        return LEVELS[stage], f"{web_warning(found, now_unix_s)}; {REMEDY}"

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look."""
        del now_unix_s
        return LOOK_S


def _stage(found: WebCertificate | None, now_unix_s: float) -> Stage:
    return Stage.FINE if found is None else stage_of(found.begins, found.ends, now_unix_s)
