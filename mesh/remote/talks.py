"""The two ends of a connection to ``mesh:control``: one question, one answer. Times are monotonic seconds."""

from math import inf
from typing import Final

from mesh.diagnostics.talk import PIECE_BYTES, Silence
from mesh.remote.wire import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES

CALL_S: Final = 50.0
"""From the opening of the connection to the end of the answer; a command waits a little longer."""

OPENED_S: Final = 15.0
"""For the other agent to open the connection: longer than an exit that is silent is given."""

QUESTION_S: Final = 10.0
"""For the question to come: it is on its way when the connection opens."""

ANSWER_S: Final = CALL_S
"""From then to the end of the answer, the time to fetch it included."""


class Asking(Silence):
    """Says the question, and hears the answer.

    Args:
        question: as it is on the wire.
        now: when the connection begins to be opened.
    """

    def __init__(self, question: bytes, now: float) -> None:
        super().__init__()
        self._question = question
        self._opened_by = now + OPENED_S
        self._ends_at = now + CALL_S
        self._heard = bytearray()

    @property
    def answer(self) -> bytes:
        """What has been heard."""
        return bytes(self._heard)

    def opened(self) -> None:
        """The other agent has opened the connection."""
        self._opened_by = inf

    def room(self, now: float) -> int:
        """As much as an answer may have, and a byte by which one is seen to be longer."""
        del now
        return MAX_ANSWER_BYTES + 1 - len(self._heard)

    def take(self, data: bytes, now: float) -> None:
        """Keep it; one that is too long is of no use."""
        del now
        self._heard += data
        if len(self._heard) > MAX_ANSWER_BYTES:
            self.has_expired = True

    def next_piece(self, now: float) -> bytes:
        """The question, in pieces."""
        del now
        piece, self._question = self._question[:PIECE_BYTES], self._question[PIECE_BYTES:]
        self.has_finished = self.has_finished or not piece
        return piece

    def deadline(self) -> float:
        """When nobody waits any more."""
        return min(self._opened_by, self._ends_at)

    def look(self, now: float) -> None:
        """End it if it has lasted long enough."""
        self.has_expired = self.has_expired or now >= self.deadline()


class Answering(Silence):
    """Hears the question, and says the answer once there is one.

    Args:
        now: when it begins.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self._heard = bytearray()
        self._ends_at = now + QUESTION_S
        self._is_complete = False
        self._has_answer = False
        self._answer = memoryview(b"")

    def question(self, now: float) -> bytes | None:
        """The question, once: when it has been heard to its end."""
        if not self._is_complete or not self._heard:
            return None
        question, self._heard = bytes(self._heard), bytearray()
        self._ends_at = now + ANSWER_S
        return question

    def answer(self, data: bytes) -> None:
        """Say this, and end."""
        self._has_answer = True
        self._answer = memoryview(data)

    def room(self, now: float) -> int:
        """As much as a question may have, and a byte by which one is seen to be longer."""
        del now
        return MAX_REQUEST_BYTES + 1 - len(self._heard)

    def take(self, data: bytes, now: float) -> None:
        """Keep it; one that is too long is not looked at."""
        del now
        self._heard += data
        if len(self._heard) > MAX_REQUEST_BYTES:
            self._heard.clear()
            self.has_expired = True

    def ended(self, now: float) -> None:
        """That was the question; with none there is nothing to do."""
        del now
        self._is_complete = True
        if not self._heard:
            self.has_finished = self.is_over = True

    def next_piece(self, now: float) -> bytes:
        """More of the answer."""
        del now
        if not self._has_answer:
            return b""
        piece, self._answer = bytes(self._answer[:PIECE_BYTES]), self._answer[PIECE_BYTES:]
        if not piece:
            self.has_finished = self.is_over = True
        return piece

    def deadline(self) -> float:
        """When the question must have come, or the answer have been fetched."""
        return self._ends_at

    def look(self, now: float) -> None:
        """End it if it has lasted long enough."""
        self.has_expired = self.has_expired or now >= self._ends_at
