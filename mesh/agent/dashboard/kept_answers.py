"""Answers of the HTTP side, given again to the same request for as long as a new one would be the same.

A request takes half a millisecond of the interpreter, which the data path shares, whatever it asks for; and
a page, a collector and a script ask for the same over and over. Requests are compared as bytes: nothing of
one that has been answered is read again.
"""

import threading
from typing import Final, NamedTuple

from waitress.task import WSGITask  # type: ignore[import-untyped]

from mesh.agent.dashboard.stamps import KEPT_WHILE, IsGood

MAX_KEPT: Final = 64
"""Requests whose answers are kept, of all clients."""

MAX_REQUEST_BYTES: Final = 2048
"""Of its head; one with a body is not kept."""

MAX_ANSWER_BYTES: Final = 32 * 1024
"""Of a body. At the pace of :mod:`mesh.agent.dashboard.channels` these are fewer bytes a second than who
reads may have, so they are not counted."""


class KeptAnswer(NamedTuple):
    """An answer, ready to be sent."""

    data: bytes
    """Head and body."""
    closes: bool
    """Whether the connection ends with it."""
    is_good: IsGood


class KeptAnswers:
    """What a server has answered lately; any thread may call."""

    def __init__(self) -> None:
        self._kept: dict[bytes, KeptAnswer] = {}
        self._lock = threading.Lock()

    def find(self, request: bytes) -> KeptAnswer | None:
        """The answer to a request's bytes, if it is still good."""
        kept = self._kept.get(request)
        return kept if kept is not None and kept.is_good() else None

    def keep(self, request: bytes, answer: KeptAnswer) -> None:
        """Have this one; the one that was kept first makes room."""
        if len(request) > MAX_REQUEST_BYTES:
            return
        with self._lock:
            self._kept.pop(request, None)
            if len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[request] = answer


class AnswerTask(WSGITask):  # type: ignore[misc]
    """Sends head and body of a short answer together, and keeps them if whoever made it says for how long."""

    wrote_header: bool

    def write(self, data: bytes) -> None:
        """Send a piece of the body, or all of it."""
        is_whole = len(data) == self.content_length and not self.wrote_header and self.has_body
        if not is_whole or not 0 < len(data) <= MAX_ANSWER_BYTES:
            super().write(data)
            return
        answer = self.build_response_header() + data
        self.wrote_header = True
        self.content_bytes_written = len(data)
        is_good, head = self.environ.get(KEPT_WHILE), self.request.whole
        if is_good is not None and head:
            kept: KeptAnswers = self.channel.server.kept
            kept.keep(head, KeptAnswer(answer, self.close_on_finish, is_good))
        self.channel.write_soon(answer)
