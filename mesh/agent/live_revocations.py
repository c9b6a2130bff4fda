"""Revocation lists while an agent runs: what it hears goes into its file, what is put there to the mesh.

Only the main thread comes here: files may take their time.
"""

import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final

from mesh.agent.audit.revoked import RevokedNotes
from mesh.agent.control.revoking import Revoking
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.file_stamps import Stamp, revocations_stamp
from mesh.agent.files import AgentFileError
from mesh.agent.live_credentials import LOOK_S
from mesh.agent.logs import logger
from mesh.agent.revocation_file import REVOCATIONS_FILE, read_lists, write_lists
from mesh.auditing import Auditing
from mesh.journal import EventKind
from mesh.telling import event
from mesh.trust.revocations import Revocations

log: Final = logger("agent")

_EVENT: Final = event(EventKind.REVOCATION)


class LiveRevocations:
    """The file of an agent that runs.

    Args:
        data_dir: where it is; ``None`` keeps nothing.
        revoking: passes lists on.
        tell: has people see what is known.
        known: what the agent has known of at its start.
        stamp: of the file, before the agent read that then.
        audit: where it is written down who is revoked from then on.
    """

    def __init__(
        self,
        data_dir: Path | None,
        revoking: Revoking,
        tell: Callable[[Revocations], None],
        *,
        known: Revocations,
        stamp: Stamp,
        audit: Auditing,
    ) -> None:
        self._known, self._notes = known, RevokedNotes(audit)
        self._data_dir = data_dir
        self._path = None if data_dir is None else data_dir / REVOCATIONS_FILE
        self._revoking = revoking
        self._tell = tell
        self._stamp = stamp
        self._put: tuple[bytes, ...] = ()
        """Lists that somebody has put into the file, and that have not been passed on yet."""
        self._next_look_s = time.monotonic() + LOOK_S

    def keep(self, revocations: Revocations) -> None:
        """The agent knows of these from now on."""
        self._notes.note(self._known, revocations, time.monotonic())
        self._known = revocations
        self._tell(revocations)
        if self._path is None:
            return
        self._read_put(self._path)  # what was put there since the last look would be gone
        reason = ""
        try:
            write_lists(self._path, (each.wire for each in revocations.lists.values()))
        except AgentFileError as error:
            reason = str(error)
        if reason:
            line = "%(reason)s; after a restart this agent hears anew who was revoked"
            log.error(line, {"reason": reason}, extra=_EVENT)
        self._stamp = revocations_stamp(self._data_dir)

    def wait_s(self) -> float:
        """Seconds until the next :meth:`look`; infinite if there is no file to look at."""
        return inf if self._path is None else self._next_look_s - time.monotonic()

    def look(self) -> None:
        """Take what somebody has put into the file, if it has changed; what is not fit is told once."""
        if self._path is None or self.wait_s() > 0:
            return
        self._next_look_s = time.monotonic() + LOOK_S
        self._read_put(self._path)
        if not self._put:
            return
        try:
            taken = self._revoking.take(self._put)
        except StatusUnavailable:
            return  # the actors are being started anew, or busy: the next look tries again
        self._put = ()
        for why in [each for each in taken if each]:
            log.error("%(reason)s", {"reason": f"{self._path}: {why}"}, extra=_EVENT)

    def _read_put(self, path: Path) -> None:
        """Read the file, if somebody has changed it."""
        before, self._stamp = self._stamp, revocations_stamp(self._data_dir)
        if self._stamp == before:
            return
        reason = ""
        try:
            self._put = tuple(dict.fromkeys((*self._put, *read_lists(path))))
        except AgentFileError as error:
            reason = str(error)
        if reason:
            log.error("%(reason)s", {"reason": reason}, extra=_EVENT)
