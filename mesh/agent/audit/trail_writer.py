"""Writes a trail on a thread of its own: who has something to write down never waits for the disk."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from mesh.agent.audit.chain import Head
from mesh.agent.audit.entries import encoded
from mesh.agent.audit.standing import TrailStanding
from mesh.agent.audit.trail import Trail
from mesh.agent.logs import logger
from mesh.auditing import AuditFact, AuditKind

T = TypeVar("T")

QUEUED: Final = 10_000
"""Entries waiting to be written; what comes on top is lost, and counted."""

GATHER_S: Final = 0.1
"""What comes within this time is written together."""

BATCH: Final = 100
"""Entries that are written together, at most: a file is no longer than it may be by more than these."""

TOLD_EVERY_S: Final = 3600.0
"""How often the log has the head, if there is anything new."""

STOP_TIMEOUT_S: Final = 2.0

_log: Final = logger("agent")


class TrailWriter(Generic[T]):
    """One trail, from now on to :meth:`close`.

    Args:
        trail: where it goes; this one's from now on.
        name: of the trail, for the log.
        encode: makes the JSON object of an entry, on the writer's thread.
        is_synced: whether all that is written is safe from a power cut at once.
    """

    def __init__(
        self, trail: Trail, name: str, encode: Callable[[T], bytes], *, is_synced: bool = False
    ) -> None:
        self._trail, self._name, self._encode, self._is_synced = trail, name, encode, is_synced
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._overflowed = 0
        """By those that put."""
        self._lost = 0
        """That the trail has not been told of."""
        self._reason = ""
        self.written = self.lost = 0
        """Entries since the start that are in the files, and that are not."""
        self.trouble = ""
        """Why nothing can be written now; empty if it can."""
        self._ending = threading.Event()
        self._told_s = time.monotonic()
        self._told = Head()
        self._thread = threading.Thread(target=self._run, name=f"audit-{name}", daemon=True)
        self._thread.start()

    def standing(self) -> TrailStanding:
        """How it stands."""
        return TrailStanding(self._name, self._trail.head, self.written, self.lost, self.trouble)

    def put(self, item: T) -> None:
        """Have it written; any thread may call, and does not wait."""
        if self._items.qsize() < QUEUED:
            self._items.put(item)
        else:
            with self._lock:
                self._overflowed += 1

    def change(self, *, file_bytes: int, files: int) -> None:
        """Have files of another size and number from now on."""
        self._trail.file_bytes, self._trail.files = file_bytes, files

    def close(self) -> None:
        """Write what is waiting, though not for ever: the disk may hang."""
        self._ending.set()
        self._items.put(None)
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        is_ending = False
        while not is_ending:
            items = [self._items.get()]
            if items[0] is not None and self._items.qsize() < BATCH:
                self._ending.wait(GATHER_S)
            while len(items) < BATCH and not self._items.empty():
                items.append(self._items.get())
            is_ending = None in items
            self._write([self._encode(item) for item in items if item is not None])
            self._note_head(is_ending=is_ending)
        self._trail.close()

    def _write(self, entries: list[bytes]) -> None:
        now = time.time()
        with self._lock:
            overflowed, self._overflowed = self._overflowed, 0
        if overflowed:
            self._reason = "there were too many at one time"
        self._lost += overflowed
        self.lost += overflowed
        if self._lost:
            told: dict[str, AuditFact] = {"count": self._lost, "reason": self._reason}
            entries = [encoded(AuditKind.LOST, now, told), *entries]
        if not entries:
            return
        try:
            self._trail.write(entries, now)
            if self._is_synced:
                self._trail.sync()
        except OSError as error:
            more = len(entries) - (1 if self._lost else 0)
            self._lost += more
            self.lost += more
            self._reason = (error.strerror or str(error)).lower()
            if not self.trouble:
                facts = {"kind": self._name, "reason": self._reason}
                _log.error(
                    "the audit log of %(kind)s cannot be written, the agent goes on without: %(reason)s",
                    facts,
                )
            self.trouble = self._reason
        else:
            if self.trouble:
                _log.warning(
                    "the audit log of %(kind)s is written again; %(count)d entries are lost",
                    {"kind": self._name, "count": self._lost},
                )
            self.written += len(entries)
            self._lost, self.trouble = 0, ""
        for remark in self._trail.remarks:
            _log.warning("audit log: %(reason)s", {"reason": remark})
        self._trail.remarks.clear()

    def _note_head(self, *, is_ending: bool) -> None:
        """Put the head into the log, which goes elsewhere: then an end that is cut off shows."""
        now, head = time.monotonic(), self._trail.head
        if head == self._told or not (is_ending or now - self._told_s >= TOLD_EVERY_S):
            return
        with suppress(OSError):  # what is told here is to be there after a power cut
            self._trail.sync()
        self._told_s, self._told = now, head
        _log.info("audit log: its head is %(head)s", {"head": f"{self._name}:{head}"})
