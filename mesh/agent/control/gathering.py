"""What many actors answer to one question from outside: far cheaper than to ask each for a future."""

import queue
import time
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from pykka import ActorDeadError

from actors.runtime.seam import AnyRef, Ref

N = TypeVar("N")
M = TypeVar("M")

LOOK_S: Final = 0.05
"""How often to look whether those that have not answered still live."""


class Gathering(Generic[N]):
    """Stands where actors expect a reference to whom they answer; the thread that asks takes the answers."""

    actor_urn = "gathering"

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[N] = queue.SimpleQueue()

    def is_alive(self) -> bool:
        """Answers are always taken."""
        return True

    def tell(self, message: N) -> None:
        """Take an answer; any thread may call it."""
        self._answers.put(message)

    def ask(self, refs: Sequence[Ref[M]], question: M, within_s: float) -> list[N] | None:
        """The answers of those that live; ``None`` if some take longer than ``within_s`` seconds."""
        asked: list[AnyRef] = [ref for ref in refs if _told(ref, question)]
        found: list[N] = []
        deadline = time.monotonic() + within_s
        while len(found) < len(asked):
            left_s = deadline - time.monotonic()
            try:
                found.append(self._answers.get(timeout=min(LOOK_S, max(0.0, left_s))))
            except queue.Empty:
                alive = sum(ref.is_alive() for ref in asked)
                if self._answers.empty() and len(found) >= alive:
                    return found  # the others have ended before they came to it
                if left_s <= 0:
                    return None
        return found


def _told(ref: Ref[M], message: M) -> bool:
    try:
        ref.tell(message)
    except ActorDeadError:
        return False
    return True
