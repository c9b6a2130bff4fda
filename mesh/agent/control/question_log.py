"""Writes down what other agents ask of this one: each change, and each kind of question once in a while."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mesh.agent.audit.requested import is_renewal
from mesh.agent.logs import logger
from mesh.connection.reserved import Caller
from mesh.escaping import escaped
from mesh.journal import EventKind
from mesh.remote.wire import Asked
from mesh.telling import event
from mesh.trust.identity import display_id
from mesh.trust.naming import named

AGAIN_S: Final = 600.0
"""A question that is asked again and again, as by ``mesh top``, is told of so often, with their number."""

MAX_REMEMBERED: Final = 256
"""Questions that are counted; the one that was told of first is forgotten first."""

_log: Final = logger("agent")


class QuestionLog:
    """Of one agent; any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[object, ...], list[float]] = OrderedDict()
        """By question: when it was told of, and how often it has been asked since."""

    def record(self, caller: Caller, asked: Asked | None, status: int) -> None:
        """An agent has asked, and this was the answer; ``None`` was no question."""
        facts: dict[str, str | int] = {
            "agent": named(caller.name, caller.id),
            "id": display_id(caller.id),
            "code": status,
        }
        mark = event(EventKind.MANAGEMENT)
        if asked is None:
            _log.warning("%(agent)s asked what cannot be read: %(code)d", facts, extra=mark)
            return
        path = asked.place.partition("?")[0]
        again = self._again(caller, asked.method, path, status) if _is_question(asked.method, path) else 0
        if again is None:
            return
        what, asker = f"{asked.method} {escaped(asked.place)}", escaped(asked.asker) or "itself"
        facts |= {"what": what, "caller": asker, "count": again + 1}
        line = "%(agent)s, for %(caller)s: %(what)s: %(code)d"
        if again:
            line += ", %(count)d times since this was told last"
        _log.info(line, facts, extra=mark)

    def _again(self, caller: Caller, method: str, path: str, status: int) -> int | None:
        """How often it has been asked without a line; ``None`` if it is to have none now either."""
        now, question = self._clock(), (caller.id, method, path, status)
        with self._lock:
            told = self._told.get(question)
            if told is not None and now < told[0] + AGAIN_S:
                told[1] += 1
                return None
            self._told[question] = [now, 0]
            self._told.move_to_end(question)
            if len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)
        return 0 if told is None else int(told[1])


def _is_question(method: str, path: str) -> bool:
    """Whether it changes nothing, or only goes on with what was told of."""
    return method == "GET" or is_renewal(method, path)
