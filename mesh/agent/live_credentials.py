"""What an agent that runs shows others and judges them by: read again when a file changes, and at a reload.

Only the main thread comes here: reading files may take its time.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from mesh.agent.credentials import notices, renewed_credentials
from mesh.agent.file_stamps import Stamp, certificate_stamp
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger
from mesh.config.loading import Written
from mesh.config.schema import Config
from mesh.journal import EventKind
from mesh.telling import event
from mesh.trust.credentials import Credentials
from mesh.trust.revocations import Revocations

LOOK_S: Final = 2.0
"""How often it is looked whether the file has changed: one question to the file system."""

log: Final = logger("agent")

_EVENT: Final = event(EventKind.CONFIGURATION)


class LiveCredentials:
    """What the agent shows others and judges them by at present.

    Args:
        running: what it was started with.
        config: as it was started with.
        written: what is said in the place of values that came from the environment.
        stamp: of the certificate's file, before the agent read it at its start.
        show: has the actors show and judge by what it is given.
        tell: has people see what the agent has, and what is wrong with the files, if anything is.
    """

    def __init__(
        self,
        running: Credentials,
        config: Config,
        written: Written,
        *,
        stamp: Stamp,
        show: Callable[[Credentials], None],
        tell: Callable[[Credentials, str], None],
    ) -> None:
        self.running = running
        """What it has now."""
        self._config = config
        self._written = written
        self._show = show
        self._tell = tell
        self._stamp = self._read_stamp = stamp
        """Of the file, when it was looked at last, and before it was read."""
        self._complaint = ""
        """What is wrong with it; empty if nothing is."""
        self._next_look_s = time.monotonic() + LOOK_S

    def read(self, config: Config, written: Written) -> Credentials:
        """What files and configuration say now; the very same as the agent has if nothing differs.

        Raises:
            AgentFileError: they are not fit for this agent.
        """
        self._read_stamp = certificate_stamp(config)
        return renewed_credentials(
            config, self.running, now_unix_s=time.time(), random_bytes=os.urandom, written=written
        )

    def read_beside(self, config: Config, written: Written) -> tuple[Credentials, tuple[str, ...]]:
        """As :meth:`read`; a file that has changed by itself is no mistake of the configuration.

        Returns:
            What to take, and what is wrong with that file, if anything is: then the agent goes on as it is.

        Raises:
            AgentFileError: what the configuration names now cannot be used.
        """
        try:
            return self.read(config, written), ()
        except AgentFileError as error:
            if config.trust != self._config.trust:
                raise
            return self.running, (str(error),)

    def take(self, found: Credentials, config: Config, written: Written) -> bool:
        """Have the agent show and judge by what :meth:`read` has found; whether that is anything new."""
        is_new = found is not self.running
        self.follow(config, written)
        self._complaint, self._stamp = "", self._read_stamp
        self.running = found
        if is_new:
            self._show(found)
            until = datetime.fromtimestamp(found.certificate.not_after, UTC)
            line = (
                "certificate and authorities have been read again: "
                "%(agent)s, valid until %(end)s, authorities: %(count)d"
            )
            authorities = len(found.trust.authorities)
            said = {
                "agent": found.certificate.name,
                "end": f"{until:%Y-%m-%d %H:%M UTC}",
                "count": authorities,
            }
            log.info(line, said, extra=_EVENT)
            for notice in notices(config, found.certificate, time.time(), written):
                log.warning("%s", notice)
        self._tell(found, "")
        return is_new

    def follow(self, config: Config, written: Written) -> None:
        """The agent runs with this configuration from now on; what it shows and judges by stays."""
        self._config, self._written = config, written

    def revoked(self, revocations: Revocations) -> None:
        """The agent judges others by these from now on; it does so already."""
        self.running = msgspec.structs.replace(self.running, trust=self.running.trust.revoking(revocations))
        self._tell(self.running, self._told_complaint)

    @property
    def _told_complaint(self) -> str:
        return "" if self._complaint == _UNTOLD else self._complaint

    def wait_s(self) -> float:
        """Seconds until the next :meth:`look`."""
        return self._next_look_s - time.monotonic()

    def look_at_once(self) -> bool:
        """:meth:`look` at a file that somebody has just written."""
        self._next_look_s = time.monotonic()
        return self.look()

    def look(self) -> bool:
        """Take up what is in the file, if it has changed; whether there is anything new.

        A file that is not fit changes nothing. It is told once, when it does not change any more: it may be
        in the middle of being written. It may become fit by itself, by the clock, so it is read every time.
        """
        if self.wait_s() > 0:
            return False
        self._next_look_s = time.monotonic() + LOOK_S
        before, self._stamp = self._stamp, certificate_stamp(self._config)
        if self._stamp == before and not self._complaint:
            return False
        try:
            found = self.read(self._config, self._written)
        except AgentFileError as error:
            self._complain(str(error), is_new=self._stamp != before)
            return False
        if self._complaint and found is self.running:
            log.info("the file at trust.certificate is right again", extra=_EVENT)
        return self.take(found, self._config, self._written)

    def _complain(self, error: str, *, is_new: bool) -> None:
        if is_new or not self._complaint:
            self._complaint = _UNTOLD
        elif self._complaint == _UNTOLD:
            self._complaint = f"{error}; this agent goes on with the certificate that it has"
            log.error("%(reason)s", {"reason": self._complaint}, extra=_EVENT)
            self._tell(self.running, self._complaint)


_UNTOLD: Final = "not told yet"
