"""What is told of a reload: in the log, and at ``/ready`` for as long as the latest one was refused."""

import logging
from typing import Final

from mesh.agent.findings import Finding, FindingKind
from mesh.agent.logs import logger
from mesh.agent.outcome import Outcome, Verdict
from mesh.journal import EventKind
from mesh.telling import event

_log: Final = logger("agent")
_EVENT: Final = event(EventKind.CONFIGURATION)

_REMEDY: Final = "correct that and `mesh reload`; `mesh plan` says beforehand what it would do"


def log_reload(number: int, outcome: Outcome) -> None:
    """Tell what has come of one; equal lines would be held back, so each has its number."""
    for line in outcome.lines():
        _log.info("reload %(reload)d: %(text)s", {"reload": number, "text": line}, extra=_EVENT)
    for problem in outcome.problems:
        _log.error("reload %(reload)d: %(text)s", {"reload": number, "text": problem}, extra=_EVENT)
    level = logging.INFO if outcome.verdict is Verdict.DONE else logging.ERROR
    facts = {"reload": number, "verdict": outcome.verdict.value}
    _log.log(level, "reload %(reload)d %(verdict)s", facts, extra=_EVENT)


def refusal_of(outcome: Outcome, now_unix_s: float) -> Finding | None:
    """What an operator who has not seen the log should hear of a reload; nothing unless it was refused."""
    if outcome.verdict is not Verdict.REFUSED:
        return None
    more = len(outcome.problems) - 1
    why = f"{''.join(outcome.problems[:1])}{f', and {more:,} more' if more > 0 else ''}"
    what = f"the last reload was {outcome.verdict.value}: {why}"
    return Finding(FindingKind.CONFIGURATION, what, _REMEDY, now_unix_s)
