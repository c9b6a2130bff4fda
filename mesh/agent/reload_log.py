"""What the log has of a reload."""

import logging
from typing import Final

from mesh.agent.logs import logger
from mesh.agent.outcome import Outcome, Verdict
from mesh.journal import EventKind
from mesh.telling import event

_log: Final = logger("agent")
_EVENT: Final = event(EventKind.CONFIGURATION)


def log_reload(number: int, outcome: Outcome) -> None:
    """Tell what has come of one; equal lines would be held back, so each has its number."""
    for line in outcome.lines():
        _log.info("reload %(reload)d: %(text)s", {"reload": number, "text": line}, extra=_EVENT)
    for problem in outcome.problems:
        _log.error("reload %(reload)d: %(text)s", {"reload": number, "text": problem}, extra=_EVENT)
    level = logging.INFO if outcome.verdict is Verdict.DONE else logging.ERROR
    facts = {"reload": number, "verdict": outcome.verdict.value}
    _log.log(level, "reload %(reload)d %(verdict)s", facts, extra=_EVENT)
